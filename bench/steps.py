"""Says on standard error what a benchmark is doing, with the time since it began: several of them take minutes."""

import time

from rich.console import Console

_began = time.monotonic()
_console = Console(stderr=True, highlight=False)


def step(what: str) -> None:
    """One line for a step that begins now."""
    _console.print(f"{time.monotonic() - _began:6.1f} s  {what}", style="dim", markup=False, soft_wrap=True)
