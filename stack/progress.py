"""How a start or stop is shown: a live table on a terminal, one plain line per event elsewhere."""

import sys
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

UNCHANGED = "as it was"


class Progress(Protocol):
    """Told what happens to each node; may be called from several threads."""

    def expect(self, names: Iterable[str]) -> None:
        """These nodes will be worked on."""

    def at(self, name: str, what: str) -> None:
        """A node's state has changed; `what` is a word or two such as `starting`, `ready (1.2 s)`."""


class Lines:
    """One line per node that came to an end of its work."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def expect(self, names: Iterable[str]) -> None:
        """Nothing to show yet."""

    def at(self, name: str, what: str) -> None:
        """Print it, but for the steps on the way."""
        if what != UNCHANGED and not what.endswith("..."):
            print(f"{time.monotonic() - self._began:6.1f} s  {name:<18} {what}", file=sys.stderr, flush=True)


class Screen:
    """A table that is redrawn in place."""

    def __init__(self) -> None:
        self._rows: dict[str, str] = {}
        self._lock = threading.Lock()
        self._live = Live(console=Console(stderr=True), get_renderable=self._table, refresh_per_second=5)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()

    def expect(self, names: Iterable[str]) -> None:
        """Show them as waiting."""
        with self._lock:
            self._rows |= dict.fromkeys(names, "waiting...")

    def at(self, name: str, what: str) -> None:
        """Show it at the next refresh."""
        with self._lock:
            self._rows[name] = what

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        with self._lock:
            for name, what in self._rows.items():
                style = "yellow" if what.endswith("...") else "green"
                table.add_row(name, f"[{'red' if 'failed' in what else style}]{what}[/]")
        return table
