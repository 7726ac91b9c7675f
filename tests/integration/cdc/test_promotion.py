"""A standby is promoted: the stream goes on by the slot that came along, what the former primary never shipped is taken out of the
copies, and all ends equal. Held against the source by plain queries, not by `verify`."""

from collections.abc import Callable, Iterator

import orjson
import psycopg
import pytest
from clickhouse_connect.driver.client import Client
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner

from bench.own_postgres import OwnPostgres, own_postgres_pair
from bench.source import ThrowAwaySource, throw_away_source
from cdc import source_database
from cdc import state as engine_state
from cdc.commands import app
from cdc.connect.client import ConnectClient
from cdc.connect.failover import failover_warnings
from cdc.kafka import Kafka
from cdc.settings import settings
from cdc.slots import find_slot
from cdc.status import collect
from stack import parts
from tests.conftest import Stack
from tests.integration.cdc.conftest import run
from tests.integration.cdc.test_epochs import settled_in
from tests.integration.cdc.topics import messages
from tests.integration.cdc.waiting import eventually

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"
WAITED_FOR = ("ALTER SYSTEM SET synchronized_standby_slots = 'standby'", "SELECT pg_reload_conf()")

Pair = tuple[OwnPostgres, OwnPostgres]


@pytest.fixture
def pair(engine: None, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """A primary and its standby of a PostgreSQL that has failover slots; new databases are made on whichever takes writes."""
    programs = parts.postgres_with_failover_slots().path
    with own_postgres_pair(stack.settings.home / "own-pair", stack.settings.port_base + 62, programs) as (
        primary,
        standby,
    ):
        admin = (
            f"host=127.0.0.1,127.0.0.1 port={primary.port},{standby.port} user=postgres password=own dbname=postgres"
        )
        monkeypatch.setenv("POSTGRES_ADMIN_DSN", f"{admin} target_session_attrs=read-write")
        yield primary, standby


@pytest.fixture
def source(pair: Pair) -> Iterator[ThrowAwaySource]:
    """A table of fifty rows on the pair, captured, with the slot kept by the standby."""
    with throw_away_source("promoted", TABLE) as source:
        run(source, "INSERT INTO t SELECT n, 'first' FROM generate_series(1, 50) n")
        source.apply()
        eventually(lambda: pair[1].keeps(source.file.slot), "the standby keeps the slot")
        yield source


def shipped(primary: OwnPostgres) -> bool:
    """Whether the standby has all that the primary has written."""
    with psycopg.connect(primary.dsn) as session:
        row = session.execute(
            "SELECT flush_lsn >= pg_current_wal_insert_lsn() FROM pg_stat_replication WHERE application_name = 'standby'"
        ).fetchone()
    return row is not None and bool(row[0])


def rows(source: ThrowAwaySource) -> list[tuple[int, str]]:
    """What the source holds."""
    with psycopg.connect(source.dsn) as session:
        return session.execute("SELECT id, v FROM t ORDER BY id").fetchall()


def copied(target: Client, source: ThrowAwaySource) -> list[tuple[int, str]]:
    """What the copy holds."""
    query = f"SELECT id, v FROM raw_{source.name}.t FINAL WHERE NOT _deleted ORDER BY id"
    return [(row[0], row[1]) for row in target.query(query).result_rows]


def streamed(source: ThrowAwaySource) -> list[str]:
    """The values of all changes in the table's topic."""
    found = (orjson.loads(message.value() or b"{}") for message in messages(f"{source.name}.public.t"))
    return [change["after"]["v"] for change in found if change.get("after")]


def position(source: ThrowAwaySource) -> int:
    """What the connector has stored as read."""
    connect = ConnectClient(settings().connect_url)
    try:
        return connect.position(source.name) or 0
    finally:
        connect.close()


def slot_after(source: ThrowAwaySource) -> tuple[bool, bool]:
    """Whether standbys may keep the slot, and whether it is one that came along."""
    with source_database.connect(source.file) as session:
        slot = find_slot(session, source.file.slot)
    assert slot is not None
    return slot.failover, slot.synced


@pytest.mark.long
def test_what_was_shipped_and_not_read_comes_by_the_stream_after_a_promotion(
    pair: Pair, source: ThrowAwaySource, stack: Stack, target: Client
) -> None:
    primary, standby = pair
    with stack.frozen("connect"):
        run(
            source,
            *(f"UPDATE t SET v = 'unread {n}' WHERE id = {n}" for n in range(1, 21)),
            "DELETE FROM t WHERE id = 50",
        )
        eventually(lambda: shipped(primary), "the standby has the changes")
        primary.kill()
        standby.promote()
        run(source, "UPDATE t SET v = 'new line' WHERE id IN (3, 40)", "INSERT INTO t VALUES (60, 'new line')")
    eventually(lambda: settled_in(source, 2), "the new line is followed and compared")
    eventually(lambda: copied(target, source) == rows(source), "the copy is equal")
    assert slot_after(source) == (True, True), "the slot that came along is gone on with"
    assert {f"unread {n}" for n in range(1, 21)} <= set(streamed(source)), "a gap in the stream"


def test_what_a_former_primary_told_and_never_shipped_is_taken_out(
    pair: Pair, source: ThrowAwaySource, target: Client
) -> None:
    """Its positions lie above those of the new line, which by them alone would lose, or be left out as read already."""
    primary, standby = pair
    eventually(lambda: shipped(primary), "the standby has everything before")
    standby.cut_off()
    run(
        source,
        "UPDATE t SET v = 'never shipped ' || repeat('x', 20000) WHERE id <= 10",
        "INSERT INTO t SELECT n, 'never shipped' FROM generate_series(51, 1000) n",
        "DELETE FROM t WHERE id = 20",
    )
    with psycopg.connect(primary.dsn, autocommit=True) as session:
        lost = source_database.insert_lsn(session)
        eventually(lambda: beaten(session, source) >= lost, "the connector has read it")
    eventually(lambda: len(copied(target, source)) == 999, "the copy has it")
    primary.kill()
    standby.promote()
    run(
        source,
        "UPDATE t SET v = 'new line' WHERE id IN (1, 30)",
        "INSERT INTO t VALUES (51, 'new line')",
        "DELETE FROM t WHERE id = 40",
    )
    eventually(lambda: settled_in(source, 2), "the new line is followed and compared")
    eventually(lambda: copied(target, source) == rows(source), "the copy is equal")
    assert len(rows(source)) == 50
    assert slot_after(source) == (True, True), "the slot that came along is gone on with"
    assert streamed(source).count("new line") >= 3, "the new line was gone on with behind its beginning"


@pytest.mark.long
def test_a_standby_that_kept_no_slot_gets_a_new_one_and_the_copy_is_mended(
    engine: None, stack: Stack, target: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with every PostgreSQL before 17. Behind one address, which leads to the new primary afterwards."""
    programs, port = parts.postgres().path, stack.settings.port_base + 62
    with own_postgres_pair(stack.settings.home / "own-pair", port, programs, keeps_slots=False) as (primary, standby):
        monkeypatch.setenv("POSTGRES_ADMIN_DSN", primary.dsn)
        with throw_away_source("promoted", TABLE) as source:
            run(source, "INSERT INTO t SELECT n, 'first' FROM generate_series(1, 50) n")
            source.apply()
            eventually(lambda: len(copied(target, source)) == 50, "the copy is there")
            with stack.frozen("connect"):
                run(source, "UPDATE t SET v = 'unread' WHERE id <= 10", "DELETE FROM t WHERE id = 50")
                eventually(lambda: shipped(primary), "the standby has the changes")
                standby.cut_off()
                run(source, "UPDATE t SET v = 'never shipped' WHERE id BETWEEN 5 AND 15")
                primary.kill()
                standby.promote()
                standby.stop()
                standby.port = primary.port
                standby.start()
                run(source, "INSERT INTO t VALUES (60, 'new line')")
            eventually(lambda: settled_in(source, 2), "the new line is followed and compared")
            eventually(lambda: copied(target, source) == rows(source), "the copy is equal")
            assert [row for row in rows(source) if row[0] in (5, 15, 60)] == [
                (5, "unread"),
                (15, "first"),
                (60, "new line"),
            ]


@pytest.mark.long
def test_a_slot_that_was_made_before_its_server_knew_failover_slots_becomes_one(
    pair: Pair, source: ThrowAwaySource, target: Client
) -> None:
    connect = ConnectClient(settings().connect_url)
    connect.stop(source.name)
    with source_database.connect(source.file, replication=True) as session:
        session.execute(f'ALTER_REPLICATION_SLOT "{source.file.slot}" (FAILOVER false)'.encode())
    connect.resume(source.name)
    connect.close()
    eventually(lambda: not pair[1].keeps(source.file.slot), "the standby does not keep the slot")
    source.apply()
    assert slot_after(source) == (True, False)
    eventually(lambda: pair[1].keeps(source.file.slot), "the standby keeps the slot")
    run(source, "UPDATE t SET v = 'after' WHERE id = 5")
    eventually(lambda: copied(target, source) == rows(source), "the connector goes on")


@pytest.mark.long
def test_a_former_primary_that_was_not_shut_out_is_named_and_not_followed(
    pair: Pair, source: ThrowAwaySource, target: Client
) -> None:
    """The DSN names it first, and it takes writes."""
    primary, standby = pair
    primary.kill()
    standby.promote()
    eventually(lambda: settled_in(source, 2), "the new line is followed and compared")
    primary.start()
    try:
        run(source, "UPDATE t SET v = 'on the former line'")
        eventually(lambda: "takes writes on timeline 1, which was left for 2" in problem(source), "it is named")
        with psycopg.connect(make_conninfo(standby.dsn, dbname=source.name), autocommit=True) as session:
            session.execute("UPDATE t SET v = 'on the new line' WHERE id = 1")
        eventually(lambda: (1, "on the new line") in copied(target, source), "the new line is followed on")
        assert settled_in(source, 2)
        assert "on the former line" not in streamed(source)
    finally:
        primary.stop()


def problem(source: ThrowAwaySource) -> str:
    """What the status says is wrong with the source."""
    kafka = Kafka(settings().kafka_bootstrap)
    try:
        with engine_state.connect(settings().millrace_state_dsn) as state:
            found = collect(settings(), state, kafka)
    finally:
        kafka.close()
    return "".join(each.problem or "" for each in found.sources if each.source == source.name)


def beaten(session: psycopg.Connection[tuple[object, ...]], source: ThrowAwaySource) -> int:
    """The stored position, after a message of ours: it moves with the next record that comes."""
    source_database.heartbeat(session)
    return position(source)


@pytest.mark.long
def test_a_server_whose_standby_would_lose_the_slot_is_warned_of_in_one_line(
    pair: Pair, source: ThrowAwaySource
) -> None:
    primary, standby = pair

    def warnings() -> tuple[str, ...]:
        with source_database.connect(source.file) as session:
            return failover_warnings(source.file, session)

    def sets(server: OwnPostgres, *statements: str) -> None:
        with psycopg.connect(server.dsn, autocommit=True) as session:
            for statement in statements:
                session.execute(statement.encode())

    def warned(*words: str) -> Callable[[], bool]:
        return lambda: len(found := warnings()) == (1 if words else 0) and all(word in "".join(found) for word in words)

    eventually(warned("set synchronized_standby_slots = 'standby' on the primary"), "the primary does not wait")
    shown = CliRunner().invoke(app, ["plan", str(source.path)])
    assert (shown.exit_code, shown.stdout.strip()) == (0, f"{source.name}: no changes")
    assert (
        shown.stderr.startswith(f"{source.name}: warning: a promotion would lose the slot")
        and shown.stderr.count("\n") == 1
    )
    sets(primary, *WAITED_FOR)
    eventually(warned(), "everything is set")
    sets(standby, "ALTER SYSTEM SET sync_replication_slots = off", "SELECT pg_reload_conf()")
    eventually(warned("sync_replication_slots = on, with a dbname"), "the standby keeps no slot in step")
    sets(standby, "ALTER SYSTEM SET hot_standby_feedback = off", "SELECT pg_reload_conf()")
    eventually(warned("hot_standby_feedback = on on the standby of standby"), "the standby tells nothing of its rows")
