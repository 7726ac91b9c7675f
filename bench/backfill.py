"""How fast existing rows are copied into ClickHouse, beside the bare pipe: COPY as CSV into INSERT ... FORMAT CSV.

The pipe is `psql` writing into HTTP requests, as many at once as the backfill copies ranges, on the same rows and in the
same run; it keeps no version, remembers nothing and proves nothing. Both take turns, and medians are compared.
"""

import http.client
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from urllib.parse import urlencode, urlsplit

import psutil
import psycopg
from clickhouse_connect.driver.client import Client

from bench import orders
from bench.report import Metric, at_least
from bench.source import ThrowAwaySource, throw_away_source
from bench.steps import step
from cdc import clickhouse
from cdc.backfill.chunks import AT_ONCE
from cdc.backfill.copy import backfill
from cdc.catalog import read_shapes
from cdc.settings import settings
from stack import parts

TURNS = 3
BAR = 0.8
_PIPE = """
CREATE TABLE raw_bench.pipe (
    id Int64, customer_id Int64, status String, total Decimal(12, 2),
    created_at DateTime64(6, 'UTC'), updated_at DateTime64(6, 'UTC'), note Nullable(String)
) ENGINE = ReplacingMergeTree ORDER BY id
"""
_BLOCK = 1 << 20


def measure(rows: int) -> list[Metric]:
    """Copy a table of ``rows`` rows by both ways in turn."""
    config = settings()
    target = clickhouse.engine_client(config)
    with throw_away_source("bench", orders.TABLE) as source:
        with psycopg.connect(source.dsn, autocommit=True) as connection:
            step(f"write {rows:,} rows")
            for statement in orders.rows(rows).split(";"):
                connection.execute(statement.encode())
        source.capture()
        target.command(_PIPE)
        ours, pipe = [], []
        for turn in range(TURNS):
            step(f"turn {turn + 1} of {TURNS}: by the bare pipe, then by the backfill")
            pipe.append(rows / _timed(lambda: _pipe(source, target, rows)))
            ours.append(rows / _timed(lambda: _backfill(source, target, rows)))
    memory = psutil.Process().memory_info()
    return [
        Metric("rows", rows, "rows"),
        Metric("streams", AT_ONCE, "at once"),
        at_least("backfill", statistics.median(ours), "rows/s", statistics.median(pipe), BAR),
        Metric("slowest", round(min(ours)), "rows/s"),
        Metric("memory of the process", round(memory.rss / 2**20), "MB"),
    ]


def _timed(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _backfill(source: ThrowAwaySource, target: Client, rows: int) -> None:
    target.command("TRUNCATE TABLE raw_bench.orders")
    config = settings()
    with psycopg.connect(source.dsn) as connection:
        shapes = read_shapes(connection, source.name)
    [copied] = backfill(source.file, shapes, 1, config.millrace_state_dsn, target, anew=True)
    _expect(copied.rows, rows)
    _expect(_count(target, "orders"), rows)


def _pipe(source: ThrowAwaySource, target: Client, rows: int) -> None:
    target.command("TRUNCATE TABLE raw_bench.pipe")
    bounds = [rows * n // AT_ONCE for n in range(AT_ONCE + 1)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(_stream, source.dsn, low, high) for low, high in pairwise(bounds)]:
            done.result()
    _expect(_count(target, "pipe"), rows)


def _stream(dsn: str, low: int, high: int) -> None:
    copy = f"COPY (SELECT * FROM public.orders WHERE id > {low} AND id <= {high}) TO STDOUT (FORMAT csv)"
    config = settings()
    address = urlsplit(config.clickhouse_url)
    parameters = urlencode(
        {"query": "INSERT INTO raw_bench.pipe FORMAT CSV", "date_time_input_format": "best_effort", "async_insert": 0}
    )
    headers = {"X-ClickHouse-User": "cdc", "X-ClickHouse-Key": config.clickhouse_cdc_password}
    psql = str(parts.postgres().path / "psql")
    environment = os.environ | {"PGTZ": "UTC"}
    with subprocess.Popen([psql, "-X", "-q", "-c", copy, dsn], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        connection = http.client.HTTPConnection(address.hostname or "", address.port, blocksize=_BLOCK)
        connection.request("POST", f"/?{parameters}", body=process.stdout, headers=headers, encode_chunked=True)
        answer = connection.getresponse()
        reason = answer.read().decode()
        connection.close()
    if answer.status != 200 or process.returncode != 0:
        raise RuntimeError(f"the bare pipe failed: psql ended with {process.returncode}, ClickHouse said {reason}")


def _count(target: Client, table: str) -> int:
    return int(target.query(f"SELECT count() FROM raw_bench.{table}").result_rows[0][0])


def _expect(found: int, wanted: int) -> None:
    if found != wanted:
        raise RuntimeError(f"{found} rows were copied, not {wanted}: the figure would say nothing")
