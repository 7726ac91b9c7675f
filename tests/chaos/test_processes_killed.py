"""Any process of the stack may be killed at any moment: it comes back by itself, and every copy is equal again."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count

import psutil
import psycopg
import pytest

from bench.source import throw_away_source
from cdc.verify import verify_documents, verify_tables
from tests.conftest import Stack

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text, amount numeric(12, 2) NOT NULL DEFAULT 0)"
BACK_WITHIN = 90.0
PROCESSES = (
    "postgres", "postgres-replica", "redis", "kafka", "connect", "elasticsearch", "clickhouse",
    "users", "products", "orders", "payments", "payment-provider", "search",
    "clickhouse-sink", "document-sink", "connect-guard", "dagster-code", "dagster-webserver", "dagster-daemon",
)  # fmt: skip


@contextmanager
def load(dsn: str) -> Iterator["Future[None]"]:
    """Inserts, updates, deletes and key changes, in transactions, until the block ends; a dead server is tried again."""
    done = threading.Event()
    numbers = count(1)

    def write() -> None:
        while not done.is_set():
            try:
                with psycopg.connect(dsn, autocommit=True, connect_timeout=2) as connection:
                    while not done.is_set():
                        n = next(numbers) * 10
                        with connection.transaction():
                            connection.execute(
                                "INSERT INTO t SELECT g, 'v' || g, g * 0.01 FROM generate_series(%s::int, %s::int) g "
                                "ON CONFLICT DO NOTHING",
                                [n, n + 9],
                            )
                            connection.execute(
                                "UPDATE t SET v = 'changed', amount = amount + 1 WHERE id BETWEEN %s AND %s",
                                [n - 25, n - 15],
                            )
                            connection.execute("UPDATE t SET id = -id WHERE id = %s", [n - 12])
                            connection.execute("DELETE FROM t WHERE id = %s", [n - 14])
            except psycopg.OperationalError:
                done.wait(0.2)  # the server was killed: that is the test

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        try:
            yield writer
        finally:
            done.set()
        writer.result()


@pytest.mark.usefixtures("engine")
def test_sink_and_connect_killed_in_the_middle_of_a_load_end_in_equality(stack: Stack) -> None:
    with throw_away_source("chaos", TABLE) as source:
        source.apply()
        with load(source.dsn) as writer:
            for victim in ("clickhouse-sink", "connect", "clickhouse-sink"):
                wait_for_rows(source.dsn, 500, writer)
                psutil.Process(stack.pid(victim)).kill()
                stack.wait_until_healthy(BACK_WITHIN)
        [proof] = verify_tables([source.name])
    assert (proof.equal, proof.differing_keys) == (True, ())
    assert proof.rows_source > 1000


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("victim", PROCESSES)
def test_one_killed_process_is_back_and_everything_is_equal_within_90_seconds(stack: Stack, victim: str) -> None:
    stack.wait_until_healthy(BACK_WITHIN)
    pid = stack.pid(victim)
    started = time.monotonic()
    process = psutil.Process(pid)
    process.kill()
    process.wait(10)
    stack.wait_until_healthy(BACK_WITHIN)
    with psycopg.connect(stack.env["PRODUCTS_DSN"], autocommit=True) as connection:
        connection.execute("UPDATE prices SET amount = amount + 0.01")
    unequal_tables = [proof for proof in verify_tables() if not proof.equal]
    unequal_documents = [proof for proof in verify_documents() if not proof.equal]
    seconds = time.monotonic() - started
    assert (unequal_tables, unequal_documents) == ([], [])
    assert stack.pid(victim) != pid
    assert seconds < BACK_WITHIN


def wait_for_rows(dsn: str, more: int, writer: "Future[None]") -> None:
    """Return when the load has written so many rows more."""
    with psycopg.connect(dsn, autocommit=True) as connection:

        def rows() -> int:
            row = connection.execute("SELECT count(*) FROM t").fetchone()
            assert row is not None
            return int(row[0])

        wanted = rows() + more
        while rows() < wanted:
            assert not writer.done(), writer.result()
            time.sleep(0.05)  # polls the load's progress
