"""How long it takes to find one altered cell in a copy of a million rows, and to mend it, while the table is written.

The ceiling beside the finding is one plain reading of the table: `COPY` of all rows to nowhere. The load is single
updates at a steady rate; the proof has to tell them from the altered cell.
"""

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bench import orders
from bench.report import Metric, at_most
from bench.source import throw_away_source
from bench.steps import step
from cdc import clickhouse
from cdc.repair import repair_tables
from cdc.settings import settings
from cdc.verify import verify_tables
from stack import parts

RATE = 50
FIND_WITHIN, MEND_WITHIN = 15.0, 10.0


def measure(rows: int) -> list[Metric]:
    """Alter one cell of the copy of ``rows`` rows, find it, mend it, and prove the copy equal once the load is over."""
    config = settings()
    target = clickhouse.engine_client(config)
    with throw_away_source("bench", orders.TABLE) as source:
        with psycopg.connect(source.dsn, autocommit=True) as connection:
            step(f"write {rows:,} rows")
            for statement in orders.rows(rows).split(";"):
                connection.execute(statement.encode())
        step("copy them")
        source.apply()
        reading = _read(source.dsn)
        with _load(source.dsn, rows // 2) as written:
            altered = str(rows // 2 + rows // 4)  # the load leaves the upper half alone
            target.command(
                "INSERT INTO raw_bench.orders SELECT * REPLACE (total + 0.01 AS total, _version + 1 AS _version) "
                f"FROM (SELECT * FROM raw_bench.orders FINAL WHERE id = {altered})"
            )
            step(f"find one altered cell while {RATE} rows/s change")
            started = time.perf_counter()
            [proof] = verify_tables([source.name])
            found = time.perf_counter() - started
            if proof.differing_keys != ((altered,),):
                raise RuntimeError(f"key {altered} was altered, and {proof.differing_keys} were found")
            step("mend it")
            started = time.perf_counter()
            [mended] = repair_tables([source.name])
            repaired = time.perf_counter() - started
        if (mended.differing, mended.copied, mended.proof.equal) != (1, 1, True):
            raise RuntimeError(f"one key had to be mended: {mended}")
        [after] = verify_tables([source.name])
        if not after.equal:
            raise RuntimeError(f"the copy is not equal afterwards: {after.differing_keys}")
    return [
        Metric("rows", rows, "rows"),
        Metric("load", round(len(written) / (found + repaired)), "updates/s"),
        at_most("altered cell found", found, "s", FIND_WITHIN),
        at_most("found and repaired", repaired, "s", MEND_WITHIN),
        Metric("rows compared", round(rows / found), "rows/s", round(rows / reading), round(reading / found, 3)),
    ]


@contextmanager
def _load(dsn: str, among: int) -> Iterator[list[int]]:
    """Updates of random rows up to a key, at a steady rate, within the block."""
    done, written = threading.Event(), list[int]()

    def write() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not done.wait(1 / RATE):
                number = 1 + len(written) * 7919 % among
                connection.execute("UPDATE orders SET status = 'paid', total = total + 1 WHERE id = %s", [number])
                written.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield written
    finally:
        done.set()
        writer.join()


def _read(dsn: str) -> float:
    """Seconds that one reading of the table takes."""
    started = time.perf_counter()
    psql = str(parts.postgres().path / "psql")
    copy = "COPY public.orders TO STDOUT"
    subprocess.run([psql, "-X", "-q", "-c", copy, dsn], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started
