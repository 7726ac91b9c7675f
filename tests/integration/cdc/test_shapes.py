"""Every change of a table's shape is followed without losing a value or taking one for another; what cannot be followed parks
that table alone, with a clear word, and is taken up again once it is mended."""

import re
from contextlib import closing

import psycopg
import pytest
from clickhouse_connect.driver.client import Client

from bench.source import ThrowAwaySource
from cdc import state as engine_state
from cdc.connect.client import ConnectClient
from cdc.settings import settings
from cdc.state import CapturedTable
from cdc.verify import verify_tables
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, copy_again, run
from tests.integration.cdc.waiting import eventually
from tests.integration.cdc.writing import writing

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL)"
WIDE = "CREATE TABLE t (id int PRIMARY KEY, v int, w int, n int NOT NULL DEFAULT 1, s text DEFAULT '', a int[] NOT NULL DEFAULT '{1}')"


def captured(source: ThrowAwaySource) -> dict[str, CapturedTable]:
    """The source's captured tables by name."""
    with engine_state.connect(settings().millrace_state_dsn) as state:
        return {table.shape.table: table for table in engine_state.captured_tables(state, source.name)}


def followed(source: ThrowAwaySource, column: str = "id", table: str = "t") -> bool:
    """Whether the copy has the column and nothing waits to be mended or copied."""
    known = captured(source).get(table)
    if known is None or known.mend is not None or known.parked is not None:
        return False
    return known.backfilled and column in {c.name for c in known.shape.columns}


def catalog(source: ThrowAwaySource, table: str = "t") -> list[tuple[int, str, str]]:
    """The table's columns as the source has them: number, name and type."""
    with psycopg.connect(source.dsn) as connection:
        return connection.execute(
            "SELECT attnum::int, attname::text, typname::text FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid "
            "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY 1",
            [table],
        ).fetchall()


def followed_as_it_is(source: ThrowAwaySource, table: str = "t") -> bool:
    """Whether the recorded shape is the catalog's, and nothing waits."""
    shape = captured(source)[table].shape
    return followed(source, shape.columns[0].name, table) and [
        (c.number, c.name, c.type) for c in shape.columns
    ] == catalog(source, table)


CHANGES = {
    "a column dropped": ["ALTER TABLE t DROP COLUMN w"],
    "a column renamed": ["ALTER TABLE t RENAME COLUMN w TO x"],
    "a column that may not be NULL renamed": ["ALTER TABLE t RENAME COLUMN n TO x"],
    "two columns that take each other's name": [
        "ALTER TABLE t RENAME COLUMN v TO x; ALTER TABLE t RENAME COLUMN w TO v; ALTER TABLE t RENAME COLUMN x TO w"
    ],
    "a name that is used again": ["ALTER TABLE t RENAME COLUMN v TO old", "ALTER TABLE t ADD COLUMN v int DEFAULT 7"],
    "a column dropped and added again in one transaction": [
        "ALTER TABLE t DROP COLUMN s; ALTER TABLE t ADD COLUMN s text DEFAULT 'new'"
    ],
    "a column dropped and added again with another type in one transaction": [
        "ALTER TABLE t DROP COLUMN w; ALTER TABLE t ADD COLUMN w text"
    ],
    "a wider type": ["ALTER TABLE t ALTER COLUMN v TYPE int8"],
    "a narrower type": ["ALTER TABLE t ALTER COLUMN v TYPE int2 USING (v % 1000)"],
    "another type, by USING": ["ALTER TABLE t ALTER COLUMN s DROP DEFAULT, ALTER COLUMN s TYPE int USING length(s)"],
    "other values of the same type, by USING": ["ALTER TABLE t ALTER COLUMN v TYPE int USING v * 100"],
    "NOT NULL dropped": ["ALTER TABLE t ALTER COLUMN n DROP NOT NULL"],
    "NOT NULL of an array dropped": ["ALTER TABLE t ALTER COLUMN a DROP NOT NULL"],
    "NOT NULL set": ["UPDATE t SET s = '' WHERE s IS NULL", "ALTER TABLE t ALTER COLUMN s SET NOT NULL"],
    "another key": ["ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id, n)"],
    "a wider key": ["ALTER TABLE t ALTER COLUMN id TYPE int8"],
    "two after each other": ["ALTER TABLE t RENAME COLUMN w TO x", "ALTER TABLE t ALTER COLUMN x TYPE text"],
}  # fmt: skip


def of_table(statement: str, table: str) -> str:
    """A statement on t, for another table."""
    return re.sub(r"\bt(?=\b|_pkey)", table, statement)


IN_SHORT = ("a column dropped", "two columns that take each other's name", "another type, by USING")


@pytest.mark.parametrize(
    "changes", [IN_SHORT, pytest.param(tuple(CHANGES), marks=pytest.mark.long)], ids=["some", "every"]
)
def test_changes_of_shape_are_followed_under_load(
    make_source: MakeSource, stack: Stack, changes: tuple[str, ...]
) -> None:
    """With rows written before, between its steps and after, and changes of the former shape that are read after it."""
    tables = {f"t{number}": change for number, change in enumerate(changes)}
    source = make_source("; ".join(of_table(WIDE, table) for table in tables))
    rows = "INSERT INTO t SELECT i, i, -i, 1, 's' || i FROM generate_series(1, 1000) i"
    before = ["UPDATE t SET n = 2 WHERE id <= 500", "DELETE FROM t WHERE id BETWEEN 900 AND 950"]
    between = ["UPDATE t SET id = id WHERE id % 10 = 0", "DELETE FROM t WHERE id % 97 = 0"]
    run(source, *(of_table(rows, table) for table in tables))
    source.apply()
    with writing(source, list(tables)):
        with stack.frozen("clickhouse-sink"):
            for table, change in tables.items():
                run(source, *(of_table(statement, table) for statement in before))
                for statement in CHANGES[change]:
                    run(source, *(of_table(each, table) for each in (statement, *between)))
        eventually(lambda: all(followed_as_it_is(source, table) for table in tables), "all are followed")
    proofs = {tables[proof.table.removeprefix("public.")]: proof for proof in verify_tables([source.name])}
    assert {change: (proof.differing, proof.parked) for change, proof in proofs.items()} == dict.fromkeys(
        changes, (0, 0)
    )


def test_a_source_that_stands_still_keeps_no_other_from_being_followed(make_source: MakeSource, stack: Stack) -> None:
    """Its mending waits for its connector, as long as a copy is waited for; whoever waits behind it would not be followed in time."""
    still, other = make_source(WIDE), make_source(WIDE)
    for source in (still, other):
        run(source, "INSERT INTO t SELECT i, i, -i FROM generate_series(1, 100) i")
        source.apply()
    with closing(ConnectClient(settings().connect_url)) as connect:
        connect.stop(still.name)
        run(still, "ALTER TABLE t ADD COLUMN x int DEFAULT 7")
        eventually(lambda: captured(still)["t"].mend is not None, "the one that stands still is to be mended")
        run(other, *CHANGES["a column renamed"])
        eventually(lambda: followed_as_it_is(other), "the other is followed")
        assert captured(still)["t"].mend is not None
        connect.resume(still.name)
    eventually(lambda: followed_as_it_is(still), "the one that stood still is followed")
    assert all(proof.equal for proof in verify_tables([still.name, other.name]))


def test_a_change_that_was_taken_back_before_anyone_looked_is_found(make_source: MakeSource, stack: Stack) -> None:
    """While nobody looks two columns change places and back, with rows written under the wrong names in between."""
    source = make_source(WIDE)
    run(source, "INSERT INTO t SELECT i, i, -i FROM generate_series(1, 100) i")
    source.apply()
    swap = CHANGES["two columns that take each other's name"][0]
    with stack.frozen("clickhouse-sink"), stack.frozen("cdc-keeper"):
        run(source, swap, "UPDATE t SET n = 5 WHERE id <= 50", swap)
    eventually(lambda: verify_tables([source.name])[0].equal, "the copy is equal")


def test_readers_never_see_a_value_under_another_columns_name(
    make_source: MakeSource, target: Client, stack: Stack
) -> None:
    """v is positive and w negative at every moment, whatever the columns are called."""
    source = make_source(WIDE)
    run(source, "INSERT INTO t SELECT i, i, -i FROM generate_series(1, 500) i")
    source.apply()
    swap = CHANGES["two columns that take each other's name"][0]
    statement = f"SELECT DISTINCT v > 0, w > 0 FROM raw_{source.name}.t FINAL"
    seen: set[tuple[tuple[int, int], ...]] = set()

    def swapped() -> bool:
        seen.add(tuple(sorted((int(v), int(w)) for v, w in target.query(statement).result_rows)))
        return ((0, 1),) in seen

    run(source, f"BEGIN; {swap}; COMMIT; UPDATE t SET n = 2 WHERE id <= 100")
    eventually(swapped, "the copy has the columns swapped")
    assert seen <= {((1, 0),), ((0, 1),)}


def test_a_sink_whose_session_has_ended_asks_on_a_new_one_whether_a_table_was_altered(
    make_source: MakeSource, target: Client, stack: Stack
) -> None:
    source = make_source(WIDE)
    run(source, "INSERT INTO t SELECT i, i, -i FROM generate_series(1, 500) i")
    source.apply()
    run(source, "UPDATE t SET n = 1 WHERE id = 1")
    assert verify_tables([source.name])[0].equal  # the sink has written, and keeps the session that it asked on
    swap = CHANGES["two columns that take each other's name"][0]
    kinds = f"SELECT uniqExact(v > 0) FROM raw_{source.name}.t FINAL"
    with stack.frozen("cdc-keeper"), psycopg.connect(source.dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'millrace'"
        )
        connection.execute(f"BEGIN; {swap}; COMMIT".encode())
        connection.execute("UPDATE t SET n = 2 WHERE id <= 100")
        found: set[int] = set()

        def judged() -> bool:
            found.add(int(target.query(kinds).result_rows[0][0]))
            return captured(source)["t"].reshaping or len(found) > 1

        eventually(judged, "the sink has read the changes")
        assert found == {1}, "some rows have their values under another column's name"


@pytest.mark.long
@pytest.mark.parametrize("process", ["cdc-keeper", "clickhouse-sink"])
def test_changes_made_while_a_process_is_dead_are_followed(make_source: MakeSource, stack: Stack, process: str) -> None:
    source = make_source(WIDE)
    run(source, "INSERT INTO t SELECT i, i, -i FROM generate_series(1, 100) i")
    source.apply()
    stack.kill(process)
    for number, change in enumerate(["a column renamed", "a wider type", "NOT NULL dropped"]):
        run(source, *CHANGES[change], f"UPDATE t SET v = {number} WHERE id <= 50")
    eventually(lambda: followed_as_it_is(source), "all are followed")
    assert verify_tables([source.name])[0].equal


def test_columns_added_between_two_events_of_a_batch_keep_every_value(
    make_source: MakeSource, target: Client, stack: Stack
) -> None:
    """With and without default, nullable or not, constant or not; the events before know nothing of them."""
    source = make_source(TABLE)
    run(source, "INSERT INTO t SELECT n, 'backfilled' FROM generate_series(1, 300) n")
    source.apply()
    with stack.frozen("clickhouse-sink"), psycopg.connect(source.dsn, autocommit=True) as connection:
        connection.execute("UPDATE t SET v = 'before' WHERE id <= 100")
        connection.execute("ALTER TABLE t ADD COLUMN plain int")
        connection.execute("ALTER TABLE t ADD COLUMN fixed numeric(10, 2) NOT NULL DEFAULT 1.50")
        connection.execute("ALTER TABLE t ADD COLUMN each uuid DEFAULT gen_random_uuid()")
        connection.execute("ALTER TABLE t ADD COLUMN tags text[] NOT NULL DEFAULT '{a,b}'")
        connection.execute("UPDATE t SET v = 'after', plain = id, fixed = 2 WHERE id BETWEEN 51 AND 150")
        connection.execute("UPDATE t SET each = NULL WHERE id = 60")
        connection.execute("INSERT INTO t (id, v) VALUES (1000, 'new')")
    eventually(lambda: followed(source, "tags"), "the new columns are followed and the copy is mended")
    [proof] = verify_tables([source.name])
    assert (proof.equal, proof.differing_keys, proof.rows_source) == (True, (), 301)
    values = target.query(f"SELECT fixed, isNull(each) FROM raw_{source.name}.t FINAL WHERE id IN (1, 60) ORDER BY id")
    assert [(str(fixed), gone) for fixed, gone in values.result_rows] == [("1.50", 0), ("2.00", 1)]


def test_a_column_that_came_and_went_before_it_was_read_is_left_out(make_source: MakeSource, stack: Stack) -> None:
    source = make_source(TABLE)
    source.apply()
    with stack.frozen("clickhouse-sink"), stack.frozen("cdc-keeper"):
        run(
            source,
            "ALTER TABLE t ADD COLUMN brief int",
            "INSERT INTO t VALUES (1, 'with it', 5)",
            "ALTER TABLE t DROP COLUMN brief",
            "INSERT INTO t VALUES (2, 'without it')",
        )
    eventually(lambda: verify_tables([source.name])[0].equal, "the copy is equal")


@pytest.mark.parametrize(
    "change",
    [
        "TRUNCATE part_1",
        "ALTER TABLE t DETACH PARTITION part_1",
        "DROP TABLE part_1",
        "ALTER TABLE t ATTACH PARTITION waiting FOR VALUES FROM (200) TO (300)",
    ],
)
def test_a_partition_that_changes_as_a_whole_is_followed(make_source: MakeSource, change: str) -> None:
    source = make_source(
        """
        CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
        CREATE TABLE part_0 PARTITION OF t FOR VALUES FROM (0) TO (100);
        CREATE TABLE part_1 PARTITION OF t FOR VALUES FROM (100) TO (200);
        CREATE TABLE waiting (id int PRIMARY KEY, v text);
        """
    )
    run(source, "INSERT INTO t SELECT n, 'v' FROM generate_series(0, 199) n")
    run(source, "INSERT INTO waiting SELECT n, 'attached' FROM generate_series(200, 220) n")
    source.apply()
    run(source, change)
    eventually(lambda: verify_tables([source.name], ["t"])[0].equal, f"equal after {change}")


@pytest.mark.parametrize(
    "change",
    [
        "a column renamed",
        "a column added",
        pytest.param("two columns that take each other's name", marks=pytest.mark.long),
        pytest.param("a column dropped", marks=pytest.mark.long),
    ],
)
def test_a_table_that_is_altered_in_the_middle_of_a_backfill_loses_nothing(
    make_source: MakeSource, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    source = make_source(WIDE)
    run(source, "INSERT INTO t SELECT i, i, -i, 1, repeat('s', 200) FROM generate_series(1, 20000) i")
    source.capture()
    monkeypatch.setattr("cdc.backfill.chunks.CHUNK_BYTES", 256 << 10)
    statements = CHANGES.get(change, ["ALTER TABLE t ADD COLUMN added int DEFAULT 7"])
    altered: list[float] = []

    def alter(table: str, rows: int, share: float) -> None:
        if not altered:
            altered.append(share)
            run(source, *statements, "UPDATE t SET id = id WHERE id % 100 = 0")

    copy_again(source, alter, anew=False, at_once=1)
    assert 0 < altered[0] < 1
    assert "was altered while it was copied" in caplog.text
    eventually(lambda: followed_as_it_is(source), f"{change} is followed")
    [proof] = verify_tables([source.name])
    assert (proof.equal, proof.rows_target) == (True, 20000)


def test_a_renamed_column_of_a_table_without_a_key_is_followed(make_source: MakeSource, stack: Stack) -> None:
    source = make_source("CREATE TABLE t (v int, w int)", rest="columns: {public.t: {append_only: true}}")
    run(source, "INSERT INTO t SELECT 1, 2 FROM generate_series(1, 50)")
    source.apply()
    with stack.frozen("clickhouse-sink"):
        swap = CHANGES["two columns that take each other's name"][0]
        run(source, "INSERT INTO t VALUES (1, 2), (1, 2)", swap, "INSERT INTO t (v, w) VALUES (2, 1), (5, 6)")
    eventually(lambda: followed_as_it_is(source), "it is followed")
    [proof] = verify_tables([source.name])
    assert (proof.equal, proof.rows_target) == (True, 54)
