"""Verification finds any single changed cell, names its key, and never says "equal" of what it could not check."""

import threading

import psycopg
import pytest
from clickhouse_connect.driver.client import Client

from bench.source import ThrowAwaySource
from cdc.errors import PermanentError
from cdc.verify import verify_tables
from tests.integration.cdc.conftest import MakeSource, run

TABLE = (
    "CREATE TABLE t (id int PRIMARY KEY, amount numeric(10, 2), v text, at timestamptz NOT NULL DEFAULT '2026-01-01')"
)
FAR_ABOVE = "bitShiftLeft(toUInt128(200), 112)"


@pytest.fixture
def copied(make_source: MakeSource) -> ThrowAwaySource:
    source = make_source(TABLE)
    run(source, "INSERT INTO t SELECT n, n * 1.1, 'v' || n FROM generate_series(1, 2000) n")
    source.apply()
    return source


@pytest.mark.parametrize(
    "damage",
    [
        "amount + 0.01 AS amount",
        "NULL AS amount",
        "'' AS v",
        "NULL AS v",
        "at + toIntervalMicrosecond(1) AS at",
        "1 AS _deleted",
    ],
)
def test_one_damaged_cell_is_found_and_its_key_named(copied: ThrowAwaySource, target: Client, damage: str) -> None:
    raw = f"raw_{copied.name}.t"
    target.command(f"INSERT INTO {raw} SELECT * REPLACE ({damage}, {FAR_ABOVE} AS _version) FROM {raw} WHERE id = 1234")
    [proof] = verify_tables([copied.name])
    assert (proof.equal, proof.differing, proof.differing_keys) == (False, 1, (("1234",),))
    assert proof.rows_source == 2000
    assert proof.rows_target == (1999 if "_deleted" in damage else 2000)


def test_a_row_that_the_source_does_not_have_is_found(copied: ThrowAwaySource, target: Client) -> None:
    raw = f"raw_{copied.name}.t"
    target.command(f"INSERT INTO {raw} SELECT * REPLACE (toInt32(99999) AS id) FROM {raw} WHERE v = 'v1'")
    [proof] = verify_tables([copied.name])
    assert (proof.equal, proof.differing_keys, proof.rows_target) == (False, (("99999",),), 2001)


def test_writes_that_go_on_are_not_taken_for_differences(copied: ThrowAwaySource) -> None:
    done = threading.Event()

    def write() -> None:
        with psycopg.connect(copied.dsn, autocommit=True) as connection:
            number = 0
            while not done.is_set():
                number += 1
                connection.execute(
                    "UPDATE t SET v = %s, amount = amount + 1 WHERE id = %s", [f"n{number}", 1 + number % 2000]
                )

    writer = threading.Thread(target=write)
    writer.start()
    try:
        proofs = [verify_tables([copied.name])[0] for _ in range(3)]
    finally:
        done.set()
        writer.join()
    assert [proof.equal for proof in proofs] == [True, True, True]


def test_a_check_that_cannot_be_made_raises(copied: ThrowAwaySource) -> None:
    with psycopg.connect(copied.dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", [copied.file.slot]
        )
    assert verify_tables([copied.name])[0].equal  # the connector comes back by itself
    with pytest.raises(PermanentError, match="the slot millrace_nothing is gone"):
        verify_missing_slot(copied)


def verify_missing_slot(source: ThrowAwaySource) -> None:
    """Ask whether the sinks passed a position of a source whose slot does not exist."""
    from cdc import source_database
    from cdc.kafka import Kafka
    from cdc.settings import settings
    from cdc.verify.passed import wait_until_passed

    file = source.file.model_copy(update={"source": "nothing"})
    kafka = Kafka(settings().kafka_bootstrap)
    try:
        with source_database.connect(source.file) as connection:
            wait_until_passed(file, connection, kafka, ["millrace-clickhouse"], [], 1)
    finally:
        kafka.close()
