"""Columns that come are followed without losing a value; any other change of shape parks that table alone, with a clear word."""

import psycopg
import pytest
from clickhouse_connect.driver.client import Client

from bench.source import ThrowAwaySource
from cdc import state as engine_state
from cdc.errors import PermanentError
from cdc.settings import settings
from cdc.state import CapturedTable
from cdc.verify import verify_tables
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, run
from tests.integration.cdc.waiting import eventually

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL)"


def captured(source: ThrowAwaySource) -> dict[str, CapturedTable]:
    """The source's captured tables by name."""
    with engine_state.connect(settings().millrace_state_dsn) as state:
        return {table.shape.table: table for table in engine_state.captured_tables(state, source.name)}


def followed(source: ThrowAwaySource, column: str) -> bool:
    """Whether the copy has the column and nothing waits to be mended."""
    table = captured(source)["t"]
    return column in {c.name for c in table.shape.columns} and table.mend is None


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
    ("change", "says"),
    [
        ("ALTER TABLE t RENAME COLUMN v TO w", "column v was renamed to w"),
        ("ALTER TABLE t DROP COLUMN v", "column v was dropped"),
        ("ALTER TABLE t ALTER COLUMN v TYPE int USING 1", "column v has changed its type from text to int4"),
        ("ALTER TABLE t ALTER COLUMN v DROP NOT NULL", "column v may be NULL now"),
        (
            "ALTER TABLE t RENAME COLUMN v TO w; ALTER TABLE t ADD COLUMN v text NOT NULL DEFAULT ''",
            "v was renamed to w",
        ),
        ("ALTER TABLE t RENAME TO u", "dropped or renamed"),
    ],
)
def test_another_change_parks_that_table_and_the_others_flow(make_source: MakeSource, change: str, says: str) -> None:
    source = make_source(f"{TABLE}; CREATE TABLE other (id int PRIMARY KEY)")
    run(source, "INSERT INTO t VALUES (1, 'a')")
    source.apply()
    run(source, change, "INSERT INTO other VALUES (1)")
    eventually(lambda: says in (captured(source)["t"].parked or ""), f"t is parked because {says}")
    [proof] = verify_tables([source.name], ["other"])
    assert proof.equal
    with pytest.raises(PermanentError, match="not followed"):
        verify_tables([source.name])


def test_not_null_that_came_later_is_followed(make_source: MakeSource) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text)")
    source.apply()
    run(
        source,
        "INSERT INTO t VALUES (1, 'a')",
        "ALTER TABLE t ALTER COLUMN v SET NOT NULL",
        "INSERT INTO t VALUES (2, 'b')",
    )
    eventually(lambda: not captured(source)["t"].shape.columns[1].nullable, "the shape is followed")
    assert verify_tables([source.name])[0].equal
    assert source.apply() == []


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
