"""Any process of the stack may be killed at any moment: it comes back by itself, and every copy is equal again."""

import time
from concurrent.futures import Future

import psutil
import psycopg
import pytest

from bench.source import throw_away_source
from cdc.verify import verify_documents, verify_tables
from tests.chaos.load import TABLE, load
from tests.conftest import Stack

BACK_WITHIN = 90.0
PROCESSES = (
    "postgres", "postgres-replica", "redis", "kafka", "connect", "elasticsearch", "clickhouse",
    "users", "products", "orders", "payments", "payment-provider", "search",
    "clickhouse-sink", "document-sink", "cdc-keeper", "dagster-code", "dagster-webserver", "dagster-daemon",
)  # fmt: skip


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
