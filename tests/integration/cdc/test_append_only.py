"""Tables without a key, declared append_only: every row as often as it is in the source, whatever happens meanwhile."""

import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from clickhouse_connect.driver.client import Client
from psycopg.conninfo import conninfo_to_dict

from bench.source import ThrowAwaySource
from cdc import dead_letters, source_file
from cdc import state as engine_state
from cdc.connect.client import ConnectClient
from cdc.connect.connector import PLACEHOLDER
from cdc.connect.plan import make_plan
from cdc.dead_letters import DeadLetter
from cdc.errors import ConfigurationError
from cdc.floors import Snapshot
from cdc.kafka import Kafka
from cdc.repair import repair_tables
from cdc.settings import settings
from cdc.sinks.clickhouse.replay import replay
from cdc.slots import drop_slot
from cdc.verify import TableProof, verify_tables
from stack import parts
from stack.settings import ROOT
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, copy_again, run, until

TABLE = "CREATE TABLE t (a int, b text)"
DECLARED = "columns: {public.t: {append_only: true}}"
COMMAND = [sys.executable, "-m", "stack.commands.main", "cdc"]


def proof(source: ThrowAwaySource, table: str = "t") -> TableProof:
    """The verification of one table."""
    [found] = verify_tables([source.name], [table])
    return found


def rows(source: ThrowAwaySource, table: str = "t", columns: str = "a, b") -> Counter[tuple[object, ...]]:
    """The source's rows, each as often as it is there."""
    with psycopg.connect(source.dsn) as connection:
        return Counter(connection.execute(f"SELECT {columns} FROM {table}".encode()).fetchall())


def copied(
    source: ThrowAwaySource, target: Client, table: str = "t", columns: str = "a, b"
) -> Counter[tuple[object, ...]]:
    """The copy's rows as a reader sees them."""
    found = target.query(f"SELECT {columns} FROM raw_{source.name}.{table} FINAL").result_rows
    return Counter(tuple(row) for row in found)


def assert_equal(source: ThrowAwaySource, target: Client) -> int:
    """Both the engine's proof and a comparison of all rows say that the copy is equal; returns the number of rows."""
    found = proof(source)
    assert (found.equal, found.differing_keys) == (True, ())
    ours = rows(source)
    assert copied(source, target) == ours
    assert (found.rows_source, found.rows_target) == (ours.total(), ours.total())
    return ours.total()


def copy_in(source: ThrowAwaySource, lines: list[str]) -> None:
    """COPY the lines into the table in one transaction: many rows share a record of the log."""
    with psycopg.connect(source.dsn) as connection, connection.cursor().copy("COPY t FROM STDIN") as stream:
        stream.write("".join(lines))


@contextmanager
def writing(source: ThrowAwaySource, write: Callable[[psycopg.Connection[object], int], None]) -> Iterator[None]:
    """Calls ``write`` with a session and a running number, again and again while the block runs."""
    done = threading.Event()

    def work() -> None:
        with psycopg.connect(source.dsn, autocommit=True) as connection:
            turn = 0
            while not done.is_set():
                turn += 1
                write(connection, turn)

    writer = threading.Thread(target=work)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()


def insert_in_every_way(connection: psycopg.Connection[object], turn: int) -> None:
    """Doubled rows: one by one, several by one statement, by COPY, and some that are rolled back."""
    connection.execute("INSERT INTO t VALUES (1, 'same')")
    connection.execute("INSERT INTO t VALUES (1, 'same'), (1, 'same'), (%s, NULL)", [turn])
    with connection.cursor().copy("COPY t FROM STDIN") as stream:
        stream.write("1\tsame\n2\tin a COPY\n" * 20)
    with connection.transaction(force_rollback=True):
        connection.execute("INSERT INTO t VALUES (3, 'never was')")


def letters(source: ThrowAwaySource) -> list[DeadLetter]:
    """The open dead letters of a source."""
    with engine_state.connect(settings().millrace_state_dsn) as state:
        return [letter for letter in dead_letters.listed(state) if letter.source == source.name]


@pytest.mark.parametrize(
    ("version", "transaction", "held"),
    [
        (99, 2**32 - 1, True),
        (99, 4, True),
        (150, 2**32 - 3, True),
        (150, 2**32 - 2, True),
        (150, 1, False),
        (150, 4, True),
        (150, 5, False),
        (150, 77, False),
        (200, 4, False),
        (200, 2**32 - 3, False),
    ],
)
def test_a_snapshot_holds_what_it_saw_also_where_numbers_come_around(
    target: Client, version: int, transaction: int, held: bool
) -> None:
    snapshot = Snapshot("s", "public.t", 100, 200, 2**32 - 2, 2**32 + 5, (2**32 + 1,))
    condition = snapshot.holds(f"toUInt128({version})", f"toUInt64({transaction})")
    assert target.query(f"SELECT {condition}").result_rows == [(held,)]


def test_doubled_rows_before_during_and_after_the_copy_are_counted(make_source: MakeSource, target: Client) -> None:
    source = make_source(TABLE, rest=DECLARED)
    run(source, "INSERT INTO t VALUES (1, 'same')", "INSERT INTO t VALUES (1, 'same'), (1, 'same')")
    copy_in(source, ["1\tsame\n"] * 3000)
    with writing(source, insert_in_every_way):
        source.apply()
    run(source, "INSERT INTO t VALUES (1, 'same')", "INSERT INTO t VALUES (1, 'same'), (1, 'same')")
    copy_in(source, ["1\tsame\n"] * 3000 + ["\\N\t\\N\n"] * 2 + [f"1\t{PLACEHOLDER}\n"] * 2)
    assert assert_equal(source, target) > 6000


@pytest.mark.long
def test_rows_of_one_position_keep_their_numbers_when_the_connector_dies_among_them(
    make_source: MakeSource, target: Client, stack: Stack
) -> None:
    source = make_source(TABLE, rest=DECLARED)
    source.apply()

    def write() -> None:
        for _ in range(200):
            copy_in(source, ["1\tsame\n"] * 150)

    def end_walsender() -> None:
        run(
            source,
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE database = current_database()",
        )

    def kill() -> None:
        stack.kill("connect")

    for turn, interrupt in enumerate((kill, end_walsender)):
        writer = threading.Thread(target=write)
        writer.start()
        until(lambda least=turn * 30_000 + 3_000: copied(source, target).total() >= least, 60)  # type: ignore[misc]
        interrupt()
        writer.join()
        stack.wait_until_healthy()
    assert_equal(source, target)


def test_connect_killed_within_a_copy_of_200000_rows(make_source: MakeSource, target: Client, stack: Stack) -> None:
    source = make_source(TABLE, rest=DECLARED)
    source.apply()
    topic = f"{source.name}.public.t"
    kafka = Kafka(settings().kafka_bootstrap)
    try:
        copy_in(source, [f"{n % 7}\tsame\n" for n in range(200_000)])
        until(lambda: sum(end for _, end in kafka.bounds(topic).values()) > 20_000)
        stack.kill("connect")
        arrived = sum(end for _, end in kafka.bounds(topic).values())
    finally:
        kafka.close()
    assert arrived < 200_000, "Connect was killed too late to show anything"
    stack.wait_until_healthy()
    assert assert_equal(source, target) == 200_000


@pytest.mark.long
def test_resyncs_under_a_running_writer_and_truncates(make_source: MakeSource, target: Client) -> None:
    source = make_source(TABLE, rest=DECLARED)
    copy_in(source, ["1\tsame\n"] * 2000)
    source.apply()
    with writing(source, insert_in_every_way):
        copy_again(source)
    assert_equal(source, target)

    def truncate_now_and_then(connection: psycopg.Connection[object], turn: int) -> None:
        insert_in_every_way(connection, turn)
        if turn % 10 == 0:
            connection.execute("TRUNCATE t")

    with writing(source, truncate_now_and_then):
        for _ in range(3):
            copy_again(source)
    assert_equal(source, target)
    run(source, "TRUNCATE t")
    assert assert_equal(source, target) == 0
    run(source, "INSERT INTO t VALUES (1, 'same'), (1, 'same')")
    copy_again(source)
    assert assert_equal(source, target) == 2


@pytest.mark.parametrize("place", ["backfill.staged", "backfill.snapshot-recorded", "backfill.exchanged"])
def test_a_copy_that_is_killed_begins_anew_and_ends_equal(make_source: MakeSource, target: Client, place: str) -> None:
    source = make_source(TABLE, rest=DECLARED)
    copy_in(source, ["1\tsame\n"] * 1000)
    source.apply()
    with engine_state.connect(settings().millrace_state_dsn) as state:
        state.execute("INSERT INTO millrace.failpoints (name, left_over) VALUES (%s, 1)", [place])
        try:
            with writing(source, insert_in_every_way):
                killed = subprocess.run([*COMMAND, "resync", f"{source.name}.t"], cwd=ROOT, check=False)
                assert killed.returncode == -signal.SIGKILL
        finally:
            state.execute("DELETE FROM millrace.failpoints")
    subprocess.run([*COMMAND, "backfill", str(source.path)], cwd=ROOT, check=True)
    assert_equal(source, target)


def test_an_update_is_parked_with_its_reason_and_a_resync_brings_it(make_source: MakeSource, target: Client) -> None:
    source = make_source(f"{TABLE}; ALTER TABLE t REPLICA IDENTITY FULL", rest=DECLARED)
    run(source, "INSERT INTO t VALUES (1, 'old'), (1, 'old'), (2, 'gone')")
    source.apply()
    run(source, "UPDATE t SET b = 'new' WHERE a = 1", "DELETE FROM t WHERE a = 2", "INSERT INTO t VALUES (9, 'flows')")
    found = proof(source)
    assert (found.equal, found.parked) == (False, 3)
    assert found.differing == 5  # 'old' and 'new' twice each, and what is gone
    assert all("append_only, and this change is no INSERT" in letter.reason for letter in letters(source))
    assert (9, "flows") in copied(source, target)
    config = settings()
    with engine_state.connect(config.millrace_state_dsn) as state:
        assert replay(state, target, config.millrace_state_dsn, letters(source)) == 0
    assert [mended.proof.equal for mended in repair_tables([source.name])] == [True]
    assert_equal(source, target)
    assert letters(source) == []


@pytest.mark.parametrize(
    ("tables", "rest", "says"),
    [
        (TABLE, "", r"public\.t has no primary key.*append_only: true.*PostgreSQL refuses the application's UPDATE"),
        ("CREATE TABLE t (a int PRIMARY KEY)", DECLARED, r"public\.t has a primary key; leave append_only out"),
    ],
)
def test_what_does_not_fit_the_table_is_refused(make_source: MakeSource, tables: str, rest: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        make_source(tables, rest=rest).apply()


def test_the_plan_says_what_the_application_may_not_do_from_then_on(make_source: MakeSource, target: Client) -> None:
    source = make_source(TABLE, rest=DECLARED)
    config = settings()
    with engine_state.connect(config.millrace_state_dsn) as state, closing(Kafka(config.kafka_bootstrap)) as kafka:
        lines = make_plan(source_file.load(source.path), config, state, kafka, target).lines()
    assert "publish public.t: PostgreSQL refuses the application's UPDATE and DELETE on it from then on" in lines


@pytest.mark.long
def test_wrong_rows_of_the_copy_are_found_by_their_number_and_mended(make_source: MakeSource, target: Client) -> None:
    source = make_source(TABLE, rest=DECLARED)
    copy_in(source, ["1\tsame\n"] * 500)
    source.apply()
    copy_in(source, ["1\tsame\n"] * 500)
    assert assert_equal(source, target) == 1000
    target.command(
        f"INSERT INTO raw_{source.name}.t SELECT * REPLACE (_row + 1000000 AS _row) FROM raw_{source.name}.t FINAL "
        "WHERE _copied = 0 LIMIT 3"
    )
    target.command(f"INSERT INTO raw_{source.name}.t (a, b, _copied, _row, _version) VALUES (7, 'odd', 1, 999999, 1)")
    found = proof(source)
    assert (found.differing, found.differing_keys) == (4, (("1", "same"), ("7", "odd")))
    assert (found.rows_source, found.rows_target) == (1000, 1004)
    assert [(mended.resynced, mended.proof.equal) for mended in repair_tables([source.name])] == [(True, True)]
    assert assert_equal(source, target) == 1000


def test_rows_that_are_refused_while_they_are_copied_are_parked_each_by_itself(
    make_source: MakeSource, target: Client
) -> None:
    source = make_source("CREATE TABLE t (a int, b text, day date NOT NULL)", rest=DECLARED)
    run(source, "INSERT INTO t SELECT 1, 'same', '2020-01-01' FROM generate_series(1, 1000)")
    run(source, "INSERT INTO t VALUES (1, 'same', 'infinity'), (1, 'same', 'infinity')")
    source.apply()
    found = proof(source)
    assert (found.equal, found.differing, found.parked) == (False, 2, 2)
    config = settings()
    with engine_state.connect(config.millrace_state_dsn) as state:
        assert replay(state, target, config.millrace_state_dsn, letters(source)) == 0
    assert len(letters(source)) == 2
    run(source, "TRUNCATE t", "INSERT INTO t VALUES (1, 'same', '2020-01-01')")
    assert assert_equal(source, target) == 1
    assert letters(source) == []


def test_a_partitioned_table_without_a_key(make_source: MakeSource, target: Client) -> None:
    leaves = "; ".join(f"CREATE TABLE t{n} PARTITION OF t FOR VALUES IN ({n})" for n in (1, 2))
    source = make_source(f"CREATE TABLE t (a int, b text) PARTITION BY LIST (a); {leaves}", rest=DECLARED)
    copy_in(source, ["1\tsame\n", "2\tsame\n"] * 500)
    source.apply()
    copy_in(source, ["1\tsame\n", "2\tsame\n"] * 500)
    assert assert_equal(source, target) == 2000
    run(source, "ALTER TABLE t DETACH PARTITION t2", "INSERT INTO t VALUES (1, 'same')")
    until(lambda: copied(source, target) == rows(source), 60)
    assert assert_equal(source, target) == 1001


def test_a_new_epoch_copies_the_table_anew(make_source: MakeSource, target: Client) -> None:
    source = make_source(TABLE, rest=DECLARED)
    copy_in(source, ["1\tsame\n"] * 100)
    source.apply()
    copy_in(source, ["1\tsame\n"] * 100)
    assert assert_equal(source, target) == 200
    with (
        closing(ConnectClient(settings().connect_url)) as connect,
        psycopg.connect(source.dsn, autocommit=True) as connection,
    ):
        connect.stop(source.name)
        drop_slot(connection, source.file)
        copy_in(source, ["1\tsame\n"] * 7)
        connect.resume(source.name)
    until(lambda: copied(source, target).total() == 207, 90)
    copy_in(source, ["1\tsame\n"] * 100)
    assert assert_equal(source, target) == 307


def test_a_column_that_comes_is_followed(make_source: MakeSource, target: Client) -> None:
    source = make_source(TABLE, rest=DECLARED)
    run(source, "INSERT INTO t VALUES (1, 'same'), (1, 'same')")
    source.apply()
    run(source, "ALTER TABLE t ADD COLUMN c int DEFAULT 5", "INSERT INTO t VALUES (1, 'same', 6), (1, 'same', 6)")
    column = f"SELECT count() FROM system.columns WHERE database = 'raw_{source.name}' AND table = 't' AND name = 'c'"
    until(lambda: target.query(column).result_rows == [(1,)], 60)
    until(lambda: copied(source, target, columns="a, b, c") == rows(source, columns="a, b, c"), 60)
    assert proof(source).equal


def pgbench(source: ThrowAwaySource, *arguments: str) -> None:
    """Run pgbench on the source."""
    facts = conninfo_to_dict(source.dsn)
    where = ["-h", str(facts["host"]), "-p", str(facts["port"]), "-U", str(facts["user"])]
    subprocess.run(
        [str(parts.postgres().path / "pgbench"), *where, *arguments, source.name],
        env={"PGPASSWORD": str(facts["password"])},
        check=True,
        timeout=240,
    )


@pytest.mark.long
@pytest.mark.timeout(900)
def test_pgbench(make_source: MakeSource, target: Client) -> None:
    source = make_source("SELECT 1", rest="columns: {public.pgbench_history: {append_only: true}}")
    pgbench(source, "-i", "-q", "-s", "10")
    source.apply()
    pgbench(source, "-T", "60", "-c", "4")
    proofs = verify_tables([source.name])
    assert [(each.table, each.equal) for each in proofs] == [
        (f"public.pgbench_{name}", True) for name in ("accounts", "branches", "history", "tellers")
    ]
    columns = "tid, bid, aid, delta"
    history = rows(source, "pgbench_history", columns)
    assert copied(source, target, "pgbench_history", columns) == history
    assert history.total() > 100
