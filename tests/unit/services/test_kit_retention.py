"""Sweeping: lot by lot until nothing is left, counted, and one table that cannot be swept keeps no other back."""

import asyncio
from contextlib import suppress

import psycopg
from prometheus_client import REGISTRY

from services.kit.retention import Sweep, keep_sweeping, sweep


class Rows:
    """So many rows that are old, of which a lot removes two."""

    def __init__(self, rows: int, fails: bool = False) -> None:
        self.rows = rows
        self.fails = fails

    async def lot(self) -> int:
        if self.fails:
            raise psycopg.OperationalError("away")
        removed = min(self.rows, 2)
        self.rows -= removed
        return removed


def counted(what: str) -> float:
    return REGISTRY.get_sample_value("millrace_swept_rows_total", {"what": what}) or 0.0


def test_all_lots_are_removed_and_counted() -> None:
    rows, before = Rows(5), counted("test")
    assert asyncio.run(sweep(Sweep("test", rows.lot))) == 5
    assert rows.rows == 0
    assert counted("test") - before == 5


def test_what_cannot_be_swept_now_keeps_nothing_back() -> None:
    rows = Rows(3)

    async def run() -> None:
        sweeps = Sweep("away", Rows(1, fails=True).lot), Sweep("there", rows.lot)
        with suppress(TimeoutError):
            await asyncio.wait_for(keep_sweeping(*sweeps), 0.2)

    asyncio.run(run())
    assert rows.rows == 0
