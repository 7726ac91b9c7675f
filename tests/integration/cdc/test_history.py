"""The log of a table's versions: nothing lost, nothing twice, whatever dies, is read again, copied, mended, erased or altered."""

import signal
import subprocess
from contextlib import closing
from dataclasses import replace

import psycopg
import pytest
from clickhouse_connect.driver.client import Client

from bench.source import ThrowAwaySource
from cdc import source_file
from cdc import state as engine_state
from cdc.connect.plan import make_plan
from cdc.kafka import Kafka
from cdc.masking import REDACTED
from cdc.repair import repair_tables
from cdc.settings import settings
from stack.settings import ROOT
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, copy_again, run
from tests.integration.cdc.histories import REST, WITNESS, logged, witnessed
from tests.integration.cdc.test_append_only import COMMAND
from tests.integration.cdc.test_erase import erased, send_again, versions
from tests.integration.cdc.test_faults import proof, replay_all
from tests.integration.cdc.test_masks import hashed
from tests.integration.cdc.test_shapes import followed_as_it_is
from tests.integration.cdc.waiting import eventually

LIFE = (
    "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 1), (3, 'c', 1)",
    "UPDATE t SET v = 'a2' WHERE id = 1; UPDATE t SET v = 'a3' WHERE id = 1",
    "DELETE FROM t WHERE id = 2",
    "INSERT INTO t VALUES (2, 'again', 2)",
    "BEGIN; DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (3, NULL, 3); UPDATE t SET n = 4 WHERE id = 3; COMMIT",
    "UPDATE t SET id = 10 WHERE id = 1",
)


def twice(target: Client, source: ThrowAwaySource) -> int:
    """Versions that stand in the log more than once for a reader."""
    query = f"SELECT count() - uniqExact(id, _version) FROM raw_{source.name}.t__history FINAL"
    return int(target.query(query).result_rows[0][0])


def plan_lines(source: ThrowAwaySource, target: Client) -> list[str]:
    """What `millrace cdc plan` would say."""
    config = settings()
    with closing(Kafka(config.kafka_bootstrap)) as kafka, engine_state.connect(config.millrace_state_dsn) as state:
        return make_plan(source.file, config, state, kafka, target).lines()


def declared(source: ThrowAwaySource, rest: str) -> ThrowAwaySource:
    """The source with another last part of its file."""
    text = source.path.read_text().split("\n\n")[0]
    source.path.write_text(f"{text}\n\n{rest}\n")
    return replace(source, file=source_file.load(source.path))


def test_every_version_is_logged_as_the_source_itself_wrote_it_down(
    make_source: MakeSource, target: Client, stack: Stack
) -> None:
    """Rows that are there when the capture begins enter by the copy; many changes of a key lie in one batch; all is read again."""
    source = make_source(WITNESS, rest=REST)
    run(source, "INSERT INTO t SELECT i, 'copied', 0 FROM generate_series(100, 120) i")
    source.apply()
    with stack.frozen("clickhouse-sink"):
        run(source, *LIFE)
    assert proof(source.name).equal
    assert logged(target, source) == witnessed(source)
    assert twice(target, source) == 0
    send_again(f"{source.name}.public.t")
    run(source, "UPDATE t SET n = n + 1 WHERE id < 110")
    assert proof(source.name).equal
    assert logged(target, source) == witnessed(source)
    [(first, copied)] = target.query(
        f"SELECT countIf(bitAnd(_version, bitShiftLeft(toUInt128(1), 56) - 1) = 0), countIf(v = 'copied' AND n = 0) "
        f"FROM raw_{source.name}.t__history FINAL"
    ).result_rows
    assert (first, copied) == (21, 21), "rows of a copy are those without a place of their own in the source's log"
    # a copy of the whole table, a repair and the end of a row that the source no longer has
    before = logged(target, source)
    copy_again(source)
    assert logged(target, source) == before
    target.command(f"ALTER TABLE raw_{source.name}.t DELETE WHERE id = 100 SETTINGS mutations_sync = 1")
    row = f"SELECT 999, 'never', 0, _version, 0, now64(6), now64(6), _batch FROM raw_{source.name}.t LIMIT 1"
    target.command(f"INSERT INTO raw_{source.name}.t {row}")
    assert [mended.differing for mended in repair_tables([source.name])] == [2]
    assert logged(target, source) == [*before, (999, None, None, True)]


def test_a_truncate_ends_every_row_in_the_log_too(make_source: MakeSource, target: Client) -> None:
    source = make_source(WITNESS, rest=REST)
    source.apply()
    run(source, "INSERT INTO t SELECT i, 'v', 0 FROM generate_series(1, 20) i", "DELETE FROM t WHERE id = 5")
    run(source, "TRUNCATE t", "INSERT INTO t VALUES (1, 'after', 1)")
    assert proof(source.name).equal
    ends = [(i, None, None, True) for i in range(1, 21) if i != 5]
    assert logged(target, source) == sorted(
        [*witnessed(source), *ends], key=lambda row: (row[0], row[1] == "after", row[3])
    )


def test_a_sink_that_dies_between_a_table_and_its_log_loses_and_doubles_nothing(
    make_source: MakeSource, target: Client, stack: Stack
) -> None:
    source = make_source(WITNESS, rest=REST)
    run(source, "INSERT INTO t VALUES (1, 'v', 0)")
    source.apply()
    with engine_state.connect(settings().millrace_state_dsn) as state:
        state.execute("INSERT INTO millrace.failpoints (name, left_over) VALUES ('history.between', 1)")
        try:

            def died() -> bool:
                run(source, "UPDATE t SET n = n + 1", "BEGIN; UPDATE t SET n = n + 1; UPDATE t SET v = v || n; COMMIT")
                row = state.execute("SELECT hits FROM millrace.failpoints WHERE name = 'history.between'").fetchone()
                return row == (1,)

            eventually(died, "the sink has ended itself between the two")
        finally:
            state.execute("DELETE FROM millrace.failpoints")
    assert proof(source.name).equal
    assert logged(target, source) == witnessed(source)
    stack.wait_until_healthy()


def test_a_history_begins_and_ends_for_a_table_that_is_captured(make_source: MakeSource, target: Client) -> None:
    source = make_source(WITNESS)
    run(source, "INSERT INTO t VALUES (1, 'first', 0)")
    source.apply()
    run(source, "UPDATE t SET v = 'forgotten'", "UPDATE t SET v = 'known'")
    assert proof(source.name).equal
    source = declared(source, REST)
    log = f"`raw_{source.name}`.`t__history`"
    assert plan_lines(source, target) == [
        f"take over the source file of {source.name}",
        f"keep the history of public.t in {log}",
        "copy existing rows of public.t",
    ]
    source.apply()
    run(source, "UPDATE t SET v = 'streamed'")
    assert proof(source.name).equal
    assert logged(target, source) == [(1, "known", 0, False), (1, "streamed", 0, False)]
    assert plan_lines(source, target) == []
    source = declared(source, "")
    assert plan_lines(source, target)[1:] == [f"keep the history of public.t no longer: {log} stays, unfollowed"]
    source.apply()
    run(source, "UPDATE t SET v = 'unseen'")
    assert proof(source.name).equal
    assert logged(target, source) == [(1, "known", 0, False), (1, "streamed", 0, False)]
    source = declared(source, REST)
    source.apply()
    assert [row[1] for row in logged(target, source)] == ["known", "streamed", "unseen"]
    source.release()
    assert target.query(f"SELECT count() FROM system.tables WHERE database = 'raw_{source.name}'").result_rows == [(0,)]


def test_what_is_masked_or_erased_is_so_in_the_log(make_source: MakeSource, target: Client) -> None:
    source = make_source(
        "CREATE TABLE t (id int PRIMARY KEY, v text, n int)",
        rest=f"{REST}\ncolumns: {{public.t: {{mask: {{v: hash}}}}}}",
    )
    run(source, "INSERT INTO t VALUES (1, 'needle', 1), (2, 'other', 1)")
    source.apply()
    run(source, "UPDATE t SET v = 'needle-2' WHERE id = 1", "UPDATE t SET n = 2 WHERE id = 2")
    assert proof(source.name).equal
    assert {row[1] for row in logged(target, source)} == {hashed("needle"), hashed("needle-2"), hashed("other")}
    run(source, "DELETE FROM t WHERE id = 1")
    assert erased(source, target, "1").versions >= 3
    assert erased(source, target, "2").kept
    send_again(f"{source.name}.public.t")
    assert proof(source.name).equal
    assert versions(target, source, "id = 1", "t__history") == 0
    assert logged(target, source) == [(2, hashed("other"), 2, False)]


@pytest.mark.long
def test_another_mask_purges_the_log_with_the_copy(make_source: MakeSource, target: Client) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text, n int)", rest=REST)
    run(source, "INSERT INTO t VALUES (1, 'needle', 1)")
    source.apply()
    run(source, "UPDATE t SET v = 'needle-2'")
    assert proof(source.name).equal
    source = declared(source, f"{REST}\ncolumns: {{public.t: {{mask: {{v: redact}}}}}}")
    assert any("t` and its log, topic" in line for line in plan_lines(source, target))
    source.apply()
    assert {row[1] for row in logged(target, source)} == {REDACTED}


@pytest.mark.parametrize("changes", [2, pytest.param(7, marks=pytest.mark.long)])
def test_the_log_follows_every_change_of_the_tables_shape(
    make_source: MakeSource, target: Client, changes: int
) -> None:
    """Former versions stay as they were, under the name that their column has now; readers ask by one shape."""
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text, w text, n int NOT NULL)", rest=REST)
    source.apply()
    steps = [
        ["INSERT INTO t VALUES (1, 'v1', 'w1', 1)"],
        [
            "ALTER TABLE t RENAME COLUMN v TO x; ALTER TABLE t RENAME COLUMN w TO v; ALTER TABLE t RENAME COLUMN x TO w",
            "UPDATE t SET n = 2",
        ],
        ["ALTER TABLE t ADD COLUMN added text DEFAULT 'd'", "UPDATE t SET n = 3"],
        ["UPDATE t SET n = 4"],
        ["ALTER TABLE t ALTER COLUMN n TYPE int8", "UPDATE t SET n = 5000000000"],
        ["ALTER TABLE t DROP COLUMN added", "UPDATE t SET n = 6"],
        ["ALTER TABLE t ALTER COLUMN v TYPE int USING length(v)", "UPDATE t SET n = 7"],
    ]
    for statements in steps[:changes]:
        run(source, *statements)
        eventually(lambda: followed_as_it_is(source), f"followed after {statements[0]}")
        assert proof(source.name).equal
    # v and w have changed names: what was v1 is w now. v is a number since it has another type; its texts went aside.
    added = "'none'" if changes == 2 else "ifNull(added, 'none')"
    columns = f"n, w, ifNull(toString(v), 'none'), {added}"
    rows = target.query(
        f"SELECT {columns} FROM raw_{source.name}.t__history FINAL WHERE NOT _deleted ORDER BY _version"
    ).result_rows
    first_of = list({row[0]: row for row in reversed(rows)}.values())[::-1]
    expected = [
        (1, "v1", "w1", "none"),
        (2, "v1", "w1", "none"),
        (3, "v1", "w1", "d"),
        (4, "v1", "w1", "d"),
        (5_000_000_000, "v1", "w1", "d"),
        (6, "v1", "w1", "none"),
        (7, "v1", "2", "none"),
    ]
    if changes < len(steps):
        assert first_of == expected[:changes]
        return
    assert first_of == [(n, w, "2" if n == 7 else "none", last) for n, w, _, last in expected]
    aside = target.query(
        "SELECT name FROM system.columns WHERE database = {d:String} AND table = 't__history' AND name LIKE 'v\\\\_\\\\_until%'",
        {"d": f"raw_{source.name}"},
    ).result_rows
    assert len(aside) == 1
    kept = f"SELECT DISTINCT `{aside[0][0]}` FROM raw_{source.name}.t__history WHERE n < 7 AND NOT _deleted"
    assert target.query(kept).result_rows == [("w1",)]


@pytest.mark.long
def test_another_table_of_the_name_or_another_key_begins_a_log_of_its_own(
    make_source: MakeSource, target: Client
) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text, n int NOT NULL)", rest=REST)
    run(source, "INSERT INTO t VALUES (1, 'former', 1)")
    source.apply()
    run(source, "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (id, n)", "UPDATE t SET v = 'by two'")
    eventually(lambda: followed_as_it_is(source), "the other key is followed")
    assert proof(source.name).equal
    assert [row[1] for row in logged(target, source)][-1] == "by two"
    run(source, "DROP TABLE t; CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (7, 'other')")
    eventually(lambda: followed_as_it_is(source), "the other table is followed")
    assert proof(source.name).equal
    assert logged(target, source, "v") == [(7, "other", False)]
    names = target.query(
        "SELECT name FROM system.tables WHERE database = {d:String} AND position(name, 't__history__until_') = 1 ORDER BY name",
        {"d": f"raw_{source.name}"},
    ).result_rows
    assert len(names) == 2
    kept = {
        target.query(f"SELECT v FROM raw_{source.name}.`{name}` ORDER BY _version").result_rows[0] for (name,) in names
    }
    assert ("former",) in kept


def test_what_the_raw_table_refuses_is_not_in_the_log_until_it_is_replayed(
    make_source: MakeSource, target: Client
) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text, n int NOT NULL)", rest=REST)
    source.apply()
    target.command(f"ALTER TABLE raw_{source.name}.t ADD CONSTRAINT small CHECK n < 100")
    run(source, "INSERT INTO t VALUES (1, 'fits', 1), (2, 'too much', 200), (3, 'fits', 3)")
    assert proof(source.name).parked == 1
    assert [row[0] for row in logged(target, source)] == [1, 3]
    target.command(f"ALTER TABLE raw_{source.name}.t DROP CONSTRAINT small")
    assert replay_all(source.name) == 1
    assert [row[0] for row in logged(target, source)] == [1, 2, 3]


@pytest.mark.long
@pytest.mark.parametrize("place", ["backfill.range-inserted", "history.between", "backfill.copied"])
def test_a_copy_that_is_killed_enters_each_row_once(make_source: MakeSource, target: Client, place: str) -> None:
    source = make_source(WITNESS, rest=REST)
    run(source, "INSERT INTO t SELECT i, repeat('v', 500), 0 FROM generate_series(1, 20000) i")
    source.capture()
    command = [*COMMAND, "backfill", str(source.path)]
    with engine_state.connect(settings().millrace_state_dsn) as state:
        state.execute("INSERT INTO millrace.failpoints (name, left_over) VALUES (%s, 1)", [place])
        try:
            assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
        finally:
            state.execute("DELETE FROM millrace.failpoints")
    subprocess.run(command, cwd=ROOT, check=True)
    run(source, "UPDATE t SET n = 1 WHERE id <= 100")
    assert proof(source.name).equal
    assert logged(target, source) == witnessed(source)


@pytest.mark.parametrize(
    ("tables", "rest", "says"),
    [
        ("CREATE TABLE t (id int PRIMARY KEY)", "history: [public.gone]", "no captured table matches 'public.gone'"),
        (
            "CREATE TABLE t (id int)",
            f"{REST}\ncolumns: {{public.t: {{append_only: true}}}}",
            "public.t is append_only, so its copy keeps every row as it is",
        ),
        (
            "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE t__history (id int PRIMARY KEY)",
            REST,
            "the log of public.t and the copy of public.t__history would share the name t__history",
        ),
    ],
)
def test_a_history_that_cannot_be_kept_is_refused_in_one_line(
    make_source: MakeSource, tables: str, rest: str, says: str
) -> None:
    source = make_source(tables, rest=rest)
    with pytest.raises(Exception, match=says) as refusal:
        source.apply()
    assert "\n" not in str(refusal.value)
    with psycopg.connect(source.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM pg_publication").fetchone() == (0,)
