"""How long work is shown, always on standard error: a bar that is redrawn on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from cdc.backfill.copy import Progress as CopyProgress

_EVERY = 2.0  # seconds between two lines of one table


@dataclass
class _Pace:
    """Rows of one table over time, since they were first heard of."""

    began: float
    rows_at_first: int
    said: float

    def rate(self, rows: int) -> float:
        """Rows a second."""
        return (rows - self.rows_at_first) / max(time.monotonic() - self.began, 0.001)


@contextmanager
def copy_progress() -> Iterator[CopyProgress]:
    """Shows what a backfill reports while the block runs."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f} rows/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield _Bars(bars)


class _Paces:
    def __init__(self) -> None:
        self._paces: dict[str, _Pace] = {}

    def of(self, table: str, rows: int) -> _Pace:
        """The table's pace; begun now when it is new."""
        now = time.monotonic()
        return self._paces.setdefault(table, _Pace(now, rows, now))


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars, self._paces = bars, _Paces()
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, table: str, rows: int, share: float) -> None:
        if table not in self._tasks:
            self._tasks[table] = self._bars.add_task(table, total=1.0 if share else None, rows=rows, rate=0.0)
        rate = self._paces.of(table, rows).rate(rows)
        self._bars.update(self._tasks[table], completed=share, rows=rows, rate=rate)


class _Lines:
    def __init__(self) -> None:
        self._paces = _Paces()

    def __call__(self, table: str, rows: int, share: float) -> None:
        pace, now = self._paces.of(table, rows), time.monotonic()
        if share < 1 and now - pace.said < _EVERY:
            return
        pace.said = now
        rate, passed = pace.rate(rows), now - pace.began
        left = f", {share:.0%}, about {passed / share - passed:.0f} s left" if 0 < share < 1 else ""
        typer.echo(f"{table}: {rows:,} rows copied, {rate:,.0f} rows/s{left}", err=True)


@contextmanager
def stages() -> Iterator[Callable[[str, str], None]]:
    """Shows which table a proof is at, and what it does there, while the block runs."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda table, what: typer.echo(f"{table}: {what}", err=True)
        return
    with console.status("") as status:
        yield lambda table, what: status.update(f"{table}: {what}")
