"""How the steps of long work are told: `Tick(step, done, of)`, as bars on a terminal, elsewhere a line each tenth."""

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Tick = Callable[[str, int, int], None]
"""Step, how much of it is done, of how much; 0 where nobody knows."""


def bars(console: Console) -> Progress:
    """Bars with what is done, of how much, and since when; shown while the block lasts."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


def lines() -> Tick:
    """One line for each step, and for each tenth of it."""
    said: set[tuple[str, int]] = set()

    def tick(step: str, done: int, of: int) -> None:
        tenth = 10 * done // of if of else 0
        if (step, tenth) not in said:
            said.add((step, tenth))
            print(f"{step} {done}/{of}" if of else step, flush=True)

    return tick
