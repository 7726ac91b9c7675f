"""Tables that come are captured by themselves; the copy of one that goes stays, and says since when and why it stands still."""

import psycopg
import pytest
from clickhouse_connect.driver.client import Client

from bench.source import ThrowAwaySource
from cdc.errors import PermanentError
from cdc.verify import verify_tables
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, run
from tests.integration.cdc.test_shapes import TABLE, captured, followed
from tests.integration.cdc.waiting import eventually

ROWS = "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 300) i"


def comment(target: Client, source: ThrowAwaySource, table: str) -> str:
    """The comment of a raw table."""
    statement = f"SELECT comment FROM system.tables WHERE database = 'raw_{source.name}' AND name = '{table}'"
    return str(target.query(statement).result_rows[0][0])


def counted(target: Client, source: ThrowAwaySource, table: str) -> int:
    """Live rows of a raw table."""
    return int(target.query(f"SELECT count() FROM raw_{source.name}.{table} FINAL").result_rows[0][0])


def test_a_new_table_is_captured_and_copied_by_itself(make_source: MakeSource) -> None:
    source = make_source(TABLE)
    source.apply()
    run(source, "CREATE TABLE u (id int PRIMARY KEY)", "INSERT INTO u SELECT generate_series(1, 100)")
    eventually(lambda: followed(source, table="u"), "the new table is captured")
    run(source, "INSERT INTO u VALUES (1000)")
    [proof] = verify_tables([source.name], ["u"])
    assert (proof.equal, proof.rows_target) == (True, 101)
    assert source.apply() == []


def test_a_copy_that_takes_long_keeps_no_other_source_waiting(make_source: MakeSource) -> None:
    slow, other = make_source(TABLE), make_source(TABLE)
    slow.apply()
    other.apply()
    with psycopg.connect(slow.dsn) as holding:
        holding.execute("SELECT pg_current_xact_id()")  # the fence of a copy waits for it
        run(slow, "CREATE TABLE u (id int PRIMARY KEY)", "INSERT INTO u SELECT generate_series(1, 100)")
        eventually(lambda: "u" in captured(slow), "the new table is captured")
        run(other, "CREATE TABLE u (id int PRIMARY KEY)")
        eventually(lambda: "u" in captured(other), "that of the other source is captured")
        assert not captured(slow)["u"].backfilled
    eventually(lambda: followed(slow, table="u") and followed(other, table="u"), "both are copied")
    assert all(proof.equal for proof in verify_tables([slow.name, other.name]))


@pytest.mark.parametrize("change", ["ALTER TABLE t RENAME TO u", "CREATE SCHEMA aside; ALTER TABLE t SET SCHEMA aside"])
def test_a_renamed_table_is_followed_where_the_globs_name_it(
    make_source: MakeSource, target: Client, stack: Stack, change: str
) -> None:
    source = make_source(f"{TABLE}; CREATE TABLE other (id int PRIMARY KEY)")
    run(source, ROWS)
    source.apply()
    with stack.frozen("clickhouse-sink"):
        run(source, "DELETE FROM t WHERE id <= 10", change)
    eventually(lambda: "t" not in captured(source), "the former name is let go")
    named = "public.u" if "RENAME" in change else "aside.t"
    assert f"public.t is called {named} now" in comment(target, source, "t")
    assert counted(target, source, "t") == 290  # with the last change before it went
    if named == "public.u":
        run(source, "INSERT INTO u VALUES (1000, 'after')")
        eventually(lambda: followed(source, table="u"), "the table is captured under its new name")
        assert verify_tables([source.name], ["u"])[0].equal
    run(source, "INSERT INTO other VALUES (1)")
    assert all(proof.equal for proof in verify_tables([source.name]))


def test_the_copy_of_a_dropped_table_stays_and_goes_aside_for_another_of_its_name(
    make_source: MakeSource, target: Client
) -> None:
    source = make_source(f"{TABLE}; CREATE TABLE other (id int PRIMARY KEY)")
    run(source, ROWS)
    source.apply()
    run(source, "DROP TABLE t")
    eventually(lambda: "t" not in captured(source), "the table is let go")
    assert "public.t was dropped" in comment(target, source, "t")
    assert counted(target, source, "t") == 300
    run(
        source, "CREATE TABLE t (id uuid PRIMARY KEY, n numeric(8, 2))", "INSERT INTO t VALUES (gen_random_uuid(), 1.5)"
    )
    eventually(lambda: followed(source, "n"), "the other table is captured")
    assert verify_tables([source.name], ["t"])[0].equal
    [[aside]] = target.query(
        f"SELECT name FROM system.tables WHERE database = 'raw_{source.name}' AND name LIKE 't\\_\\_until\\_%'"
    ).result_rows
    assert counted(target, source, aside) == 300


@pytest.mark.long
@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL); INSERT INTO t VALUES (1, 'other')",
        "ALTER TABLE t RENAME TO x; ALTER TABLE u RENAME TO t; ALTER TABLE x RENAME TO u",
    ],
)
def test_another_table_of_the_same_name_and_columns_is_not_taken_for_the_first(
    make_source: MakeSource, stack: Stack, change: str
) -> None:
    source = make_source(f"{TABLE}; CREATE TABLE u (id int PRIMARY KEY, v text NOT NULL)")
    run(source, ROWS, "INSERT INTO u VALUES (5, 'of u')")
    source.apply()
    with stack.frozen("clickhouse-sink"):
        run(
            source,
            "UPDATE t SET v = 'late' WHERE id > 200",
            f"BEGIN; {change}; COMMIT",
            "INSERT INTO t VALUES (900, 'new')",
        )
    eventually(lambda: followed(source) and followed(source, table="u"), "both tables are followed")
    eventually(lambda: all(p.equal for p in verify_tables([source.name])), "both copies are equal")


def test_what_cannot_be_captured_parks_that_table_alone_until_it_is_mended(make_source: MakeSource) -> None:
    source = make_source(f"{TABLE}; CREATE TABLE other (id int PRIMARY KEY)")
    run(source, ROWS)
    source.apply()
    run(
        source,
        "ALTER TABLE t DROP CONSTRAINT t_pkey",
        "INSERT INTO t VALUES (1, 'twice')",
        "INSERT INTO other VALUES (1)",
    )
    eventually(
        lambda: "public.t has no primary key" in (captured(source)["t"].parked or ""), "t is parked with the reason"
    )
    assert verify_tables([source.name], ["other"])[0].equal
    with pytest.raises(PermanentError, match=r"not followed, so not compared.*taken up again by itself"):
        verify_tables([source.name])
    run(
        source,
        "ALTER TABLE t REPLICA IDENTITY FULL",  # else PostgreSQL refuses the DELETE on a published table without a key
        "DELETE FROM t WHERE v = 'twice'",
        "ALTER TABLE t ADD PRIMARY KEY (id), REPLICA IDENTITY DEFAULT",
        "INSERT INTO t VALUES (901, 'b')",
    )
    eventually(lambda: followed(source), "t is taken up again")
    assert all(proof.equal for proof in verify_tables([source.name]))


def test_a_new_table_that_cannot_be_captured_hinders_no_other(make_source: MakeSource) -> None:
    """Neither those that are captured nor a new one beside it."""
    source = make_source(TABLE)
    source.apply()
    run(source, "CREATE TABLE keyless (v int)", "CREATE TABLE u (id int PRIMARY KEY)", "INSERT INTO u VALUES (1)")
    run(source, "ALTER TABLE t RENAME COLUMN v TO w", "INSERT INTO t VALUES (1, 'a')")
    eventually(lambda: followed(source, "w") and followed(source, table="u"), "t is followed and u captured")
    assert all(proof.equal for proof in verify_tables([source.name]))
    run(source, "UPDATE keyless SET v = 2")  # it is not published, so the application may write it
