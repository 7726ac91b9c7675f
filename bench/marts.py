"""How long dbt builds every mart from nothing, and how long after a thousand orders changed; and how much each run reads.

The marts are built into a database of their own beside the shop's, from whatever shop is there: `millrace simulate --orders 200000
--days 365 --seed 1` makes a year of one. The orders are changed in their own database, on three days in the middle of its history;
the second run has to find them by what the sink wrote since, and to write only the months that they are of.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from uuid import uuid4

import psycopg

from bench.mart_builds import MartBuilds, connect, until
from bench.report import Metric, at_most
from bench.steps import step

DATABASE = "analytics_bench"
ALL_WITHIN, CHANGED_WITHIN = 90.0, 25.0


def measure(changed: int) -> list[Metric]:
    """Build all, change so many orders, build again.

    Raises:
        RuntimeError: a build failed, or wrote other months than those of the changed orders.
    """
    with _builds() as builds:
        step("write batches until none of now is read twice")
        builds.leave_the_overlap()
        step("build every mart from nothing")
        everything, read = _timed(builds)
        loaded = builds.months_written()
        step(f"change {changed:,} orders of three days")
        months, count = _change(changed)
        builds.wait_until_readable()
        step("build again")
        after, read_after = _timed(builds)
        written = {month for month, at in builds.months_written().items() if loaded.get(month) != at}
        orders = builds.one(f"SELECT count() FROM {DATABASE}.fct_orders")
    if written != months:
        raise RuntimeError(f"orders of {sorted(months)} were changed, and the months {sorted(written)} were written")
    return [
        Metric("orders", orders, "orders"),
        at_most("every mart from nothing", everything, "s", ALL_WITHIN),
        Metric("orders changed", count, "orders"),
        at_most("every mart after the changes", after, "s", CHANGED_WITHIN),
        Metric("months written", len(written), "months", len(loaded), round(len(written) / len(loaded), 3)),
        Metric("rows read by incremental models", *_beside(read_after.incremental, read.incremental)),
        Metric("rows read by all, tests included", *_beside(read_after.everything, read.everything)),
    ]


class Read(NamedTuple):
    """Rows that the statements of a build read: those of the incremental models, and all, tests included."""

    incremental: int
    everything: int


def _beside(after: int, before: int) -> tuple[int, str, int, float]:
    return after, "rows", before, round(after / before, 3)


def _timed(builds: MartBuilds) -> tuple[float, Read]:
    """Seconds of a build, tests included, and what its statements read."""
    began = builds.client.query("SELECT now64(6)").result_rows[0][0]
    started = time.perf_counter()
    builds.build()
    seconds = time.perf_counter() - started
    _wait_for_the_log(builds)
    [(incremental, everything)] = builds.client.query(
        'SELECT sumIf(read_rows, extract(query, \'"node": "([^"]+)"\') IN {models:Array(String)}), sum(read_rows) '
        "FROM system.query_log WHERE type = 'QueryFinish' AND user = 'dbt' "
        "AND query_start_time_microseconds >= {began:DateTime64(6)} AND arrayExists(d -> startsWith(d, {name:String}), databases)",
        {"began": began, "name": DATABASE, "models": builds.incremental()},
    ).result_rows
    return seconds, Read(int(incremental), int(everything))


def _change(number: int) -> tuple[set[int], int]:
    """Change so many orders of three days, or as many as there are; the months that they are of, and how many."""
    with psycopg.connect(os.environ["ORDERS_DSN"], options="-c timezone=UTC", autocommit=True) as orders:
        changed = orders.execute(
            """
            WITH middle AS (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY placed_at)::date AS day FROM orders)
            UPDATE orders SET updated_at = now() WHERE id IN (
                SELECT id FROM orders, middle WHERE placed_at >= day AND placed_at < day + 3 ORDER BY placed_at LIMIT %s)
            RETURNING to_char(placed_at, 'YYYYMM')::int
            """,
            [number],
        ).fetchall()
    return {month for (month,) in changed}, len(changed)


def _wait_for_the_log(builds: MartBuilds) -> None:
    """Return when the log of queries has everything that ended before now: it is written every few seconds."""
    mark = uuid4().hex
    builds.client.query("SELECT 1", settings={"log_comment": mark})
    until(lambda: builds.one(f"SELECT count() FROM system.query_log WHERE log_comment = '{mark}'") > 0)


@contextmanager
def _builds() -> Iterator[MartBuilds]:
    """Nothing of the bench's own database is there before or afterwards."""
    with connect(os.environ) as client, tempfile.TemporaryDirectory() as target:
        builds = MartBuilds(client, os.environ, DATABASE, target)
        try:
            builds.drop()
            yield builds
        finally:
            builds.drop()
