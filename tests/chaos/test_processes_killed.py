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
GROUPS = {
    "postgres and the engine": ("postgres", "cdc-keeper", "document-sink", "cache-invalidation", "status-page"),
    "kafka, elasticsearch and a sink": ("kafka", "elasticsearch", "clickhouse-sink"),
    "connect and the warehouse": ("connect", "clickhouse"),
    "the shop": ("users", "sessions", "products", "orders", "payments", "payment-provider", "mail"),
    "what the shop reads": ("postgres-replica", "redis", "search", "analytics", "clickstream-loader", "invariants"),
    "dagster": ("dagster-code", "dagster-webserver", "dagster-daemon"),
}
ALONE = [name for group in GROUPS.values() for name in group]


@pytest.mark.long
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


def test_every_process_of_the_stack_is_killed_here(stack: Stack) -> None:
    assert sorted(name for group in GROUPS.values() for name in group) == sorted(
        p.name for p in stack.report().processes
    )


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("group", GROUPS)
def test_processes_killed_at_once_are_back_and_everything_is_equal_within_90_seconds(stack: Stack, group: str) -> None:
    kill_and_prove(stack, GROUPS[group])


@pytest.mark.long
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("victim", ALONE)
def test_one_killed_process_is_back_and_everything_is_equal_within_90_seconds(stack: Stack, victim: str) -> None:
    kill_and_prove(stack, (victim,))


def kill_and_prove(stack: Stack, victims: tuple[str, ...]) -> None:
    """Kill the processes at once; within the time all are new ones and well, and a change made then is in every copy."""
    stack.wait_until_healthy(BACK_WITHIN)
    before = {victim: stack.pid(victim) for victim in victims}
    started = time.monotonic()
    processes = [psutil.Process(pid) for pid in before.values()]
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, 10)
    stack.wait_until_healthy(BACK_WITHIN)
    with psycopg.connect(stack.env["PRODUCTS_DSN"], autocommit=True) as connection:
        connection.execute("UPDATE prices SET amount = amount + 0.01")
    unequal_tables = [proof for proof in verify_tables() if not proof.equal]
    unequal_documents = [proof for proof in verify_documents() if not proof.equal]
    seconds = time.monotonic() - started
    assert (unequal_tables, unequal_documents) == ([], [])
    assert {victim for victim in victims if stack.pid(victim) == before[victim]} == set()
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
