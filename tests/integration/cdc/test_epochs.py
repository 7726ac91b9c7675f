"""When a source's log is another line than the one that was captured, its epoch is raised by itself and the copies end equal."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest

from bench.own_postgres import own_postgres
from bench.source import ThrowAwaySource, throw_away_source
from cdc import source_database
from cdc import state as engine_state
from cdc.connect.client import ConnectClient
from cdc.settings import settings
from cdc.slots import create_slot, drop_slot
from cdc.source_file import SourceFile
from cdc.verify import verify_tables
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, run
from tests.integration.cdc.topics import messages
from tests.integration.cdc.waiting import eventually

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"


def settled_in(source: ThrowAwaySource, epoch: int) -> bool:
    """Whether the source is in this epoch and nothing of it waits to be mended."""
    return _epoch(source) == epoch and mended(source)


def mended(source: ThrowAwaySource) -> bool:
    """Whether nothing of the source waits to be mended."""
    with engine_state.connect(settings().millrace_state_dsn) as state:
        return not any(table.mend for table in engine_state.captured_tables(state, source.name))


@contextmanager
def stopped(source: ThrowAwaySource) -> Iterator[tuple[ConnectClient, psycopg.Connection[Any]]]:
    """The source's connector stopped for the block, and its line held: the keeper, which looks every two seconds, would
    see the slot gone in the middle of it."""
    with (
        engine_state.connect(settings().millrace_state_dsn) as state,
        engine_state.line_of(state, source.name),
        closing(ConnectClient(settings().connect_url)) as connect,
        psycopg.connect(source.dsn, autocommit=True) as connection,
    ):
        connect.stop(source.name)
        yield connect, connection
        connect.resume(source.name)


def without_slot(source: ThrowAwaySource, *statements: str) -> None:
    """Stop the connector, drop its slot, run the statements on the source, and let it go on."""
    with stopped(source) as (_, connection):
        drop_slot(connection, source.file)
        run(source, *statements)


def test_a_slot_made_anew_loses_changes_and_the_epoch_is_raised_and_the_copy_mended(make_source: MakeSource) -> None:
    source = make_source(TABLE)
    run(source, "INSERT INTO t SELECT n, 'first' FROM generate_series(1, 100) n")
    source.apply()
    run(source, "INSERT INTO t VALUES (1000, 'seen')")
    assert verify_tables([source.name])[0].equal
    without_slot(
        source,
        "UPDATE t SET v = 'never in the log that is read' WHERE id <= 10",
        "DELETE FROM t WHERE id = 50",
        f"SELECT pg_create_logical_replication_slot('{source.file.slot}', 'pgoutput')",
    )
    eventually(lambda: settled_in(source, 2), "epoch 2")
    run(source, "UPDATE t SET v = 'after' WHERE id IN (5, 60)")
    [proof] = verify_tables([source.name])
    assert (proof.equal, proof.differing_keys, proof.rows_source) == (True, (), 100)


def test_a_lost_slot_is_made_anew_under_a_new_epoch(make_source: MakeSource) -> None:
    source = make_source(TABLE)
    source.apply()
    run(source, "INSERT INTO t VALUES (1, 'seen')")
    without_slot(source, "UPDATE t SET v = 'unseen' WHERE id = 1")
    eventually(lambda: settled_in(source, 2), "epoch 2")
    [proof] = verify_tables([source.name])
    assert (proof.equal, proof.differing_keys) == (True, ())


def test_a_change_that_has_no_place_in_the_order_has_its_table_compared_and_mended(make_source: MakeSource) -> None:
    """The very first transaction of a slot, read by a connector that remembers nothing, has no commit before it."""
    source = make_source(TABLE)
    run(source, "INSERT INTO t VALUES (1, 'backfilled')")
    source.apply()
    run(source, "UPDATE t SET v = 'seen'")
    assert verify_tables([source.name])[0].equal
    with stopped(source) as (connect, connection):
        connect.forget_position(source.name)
        drop_slot(connection, source.file)
        create_slot(connection, source.file)
        connection.execute("UPDATE t SET v = 'has no commit before it' WHERE id = 1")
    eventually(lambda: unplaced(source), "the change is in its topic")
    eventually(lambda: mended(source) and verify_tables([source.name])[0].equal, "the copy is mended")


def test_a_raise_by_hand_lets_go_of_a_slot_that_was_to_be_kept(own_state: None) -> None:
    """Where the connector cannot go on with it, whatever the keeper tries."""
    file = SourceFile(source="by_hand", dsn="host=nowhere", tables=("*",))
    with engine_state.connect(settings().millrace_state_dsn) as state:
        engine_state.remember_source(state, file, 1, 1)
        found = []
        for keep_slot in (True, True, False, True):
            epoch = engine_state.begin_raise(state, file.source, "promoted", keep_slot=keep_slot)
            known = engine_state.find_source(state, file.source)
            assert known is not None
            found.append((epoch, known.keep_slot))
        assert found == [(2, True), (2, True), (2, False), (2, False)]


def unplaced(source: ThrowAwaySource) -> bool:
    """Whether a change without a commit before it lies in the topic."""
    return any(b'"sequence":"[null' in (message.value() or b"") for message in messages(f"{source.name}.public.t"))


def _epoch(source: ThrowAwaySource) -> int:
    with engine_state.connect(settings().millrace_state_dsn) as state:
        known = engine_state.find_source(state, source.name)
    assert known is not None
    return known.epoch if known.raising is None else 0


def _wait_until_read(source: ThrowAwaySource) -> None:
    """Return once the connector has put everything committed so far into Kafka."""
    with psycopg.connect(source.dsn, autocommit=True) as connection:
        lsn = source_database.insert_lsn(connection)

        def read() -> bool:
            source_database.heartbeat(connection)
            return (source_database.confirmed_lsn(connection, source.file.slot) or 0) >= lsn

        eventually(read, "the connector has read the changes")


def test_a_source_restored_to_an_earlier_position_ends_equal(
    engine: None, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log steps back: what is written afterwards has lower positions than what the copy holds, and than events of the
    lost line that are read only then."""
    with own_postgres(stack.settings.home / "own-server", stack.settings.port_base + 60) as server:
        monkeypatch.setenv("POSTGRES_ADMIN_DSN", server.dsn)
        with throw_away_source("restored", TABLE) as source:
            run(source, "INSERT INTO t SELECT n, 'kept' FROM generate_series(1, 50) n")
            source.apply()
            assert verify_tables([source.name])[0].equal
            server.stop()
            server.back_up()
            server.start()
            run(
                source,
                "UPDATE t SET v = 'lost with the restore' WHERE id <= 10",
                "INSERT INTO t SELECT n, 'lost with the restore' FROM generate_series(51, 2000) n",
            )
            assert verify_tables([source.name])[0].equal
            with stack.frozen("clickhouse-sink"):
                run(source, "UPDATE t SET v = 'lost and still unread' WHERE id <= 15", "DELETE FROM t WHERE id = 16")
                _wait_until_read(source)
                server.stop()
                server.restore()
                server.start()
                run(
                    source,
                    "UPDATE t SET v = 'after the restore' WHERE id IN (1, 20)",
                    "INSERT INTO t VALUES (51, 'after the restore')",
                )
                eventually(lambda: _epoch(source) == 2, "epoch 2")
            eventually(lambda: settled_in(source, 2), "the copy is mended")
            assert_equal(source, 51)
            run(source, "UPDATE t SET v = 'after the mending' WHERE id IN (2, 30, 51)")
            assert_equal(source, 51)


def assert_equal(source: ThrowAwaySource, rows: int) -> None:
    """The copy has so many rows, and all are the source's."""
    [proof] = verify_tables([source.name])
    assert (proof.equal, proof.differing_keys, proof.rows_source) == (True, (), rows)
