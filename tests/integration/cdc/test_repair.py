"""Repair mends exactly what differs, in place, while writes go on; what it cannot explain it refuses."""

import json
import subprocess
import sys
import threading

import psycopg
import pytest
from clickhouse_connect.driver.client import Client

from bench.source import ThrowAwaySource
from cdc.errors import ConfigurationError, PermanentError
from cdc.repair import MendedTable, repair_tables
from cdc.verify import verify_tables
from cdc.version import Version
from stack.settings import ROOT
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, copy_again, run

TABLE = (
    "CREATE TABLE t (id int PRIMARY KEY, amount numeric(10, 2), v text, at timestamptz NOT NULL DEFAULT '2026-01-01')"
)


@pytest.fixture
def copied(make_source: MakeSource) -> ThrowAwaySource:
    source = make_source(TABLE)
    run(source, "INSERT INTO t SELECT n, n * 1.1, 'v' || n FROM generate_series(1, 2000) n")
    source.apply()
    return source


def damage(target: Client, source: ThrowAwaySource, replacing: str, where: str) -> None:
    """Put wrong rows into the copy, under versions just above those they replace."""
    raw = f"raw_{source.name}.t"
    rows = f"(SELECT * FROM {raw} FINAL WHERE {where})"  # apart: a condition beside REPLACE sees the new values
    target.command(f"INSERT INTO {raw} SELECT * REPLACE ({replacing}, _version + 1 AS _version) FROM {rows}")


def repaired(source: ThrowAwaySource) -> MendedTable:
    """Repair the source's only table."""
    [mended] = repair_tables([source.name])
    return mended


@pytest.mark.parametrize(
    ("replacing", "copied_again", "ended"),
    [("'' AS v", 1, 0), ("NULL AS amount", 1, 0), ("1 AS _deleted", 1, 0), ("toInt32(99999) AS id", 0, 1)],
    ids=["a cell", "a null", "a lost row", "a row too many"],
)
def test_what_differs_is_mended_and_nothing_else_is_touched(
    copied: ThrowAwaySource, target: Client, replacing: str, copied_again: int, ended: int
) -> None:
    damage(target, copied, replacing, "id = 1234")
    touched = f"SELECT uniqExact(id) FROM raw_{copied.name}.t WHERE _batch > (SELECT max(_batch) FROM raw_{copied.name}.t WHERE id = 1)"
    mended = repaired(copied)
    assert (mended.differing, mended.copied, mended.ended) == (1, copied_again, ended)
    assert (mended.resynced, mended.proof.equal) == (False, True)
    assert target.query(touched).result_rows == [(1,)]
    assert repaired(copied).differing == 0


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("a text, b int, PRIMARY KEY (a, b)", "'it''s \\ ' || n, n"),
        ("a uuid, PRIMARY KEY (a)", "md5(n::text)::uuid"),
        (
            "a timestamptz, b numeric(6, 2), PRIMARY KEY (a, b)",
            "timestamptz '2026-01-01' + n * interval '1 ms', n * 1.5",
        ),
        ("a bigint, PRIMARY KEY (a)", "(n - 500) * 9007199254740993"),
        ("a int, b int, PRIMARY KEY (a, b)", "n % 3, n"),
    ],
    ids=["composite text", "uuid", "timestamp and numeric", "wide integers", "few first columns"],
)
def test_any_kind_of_key_is_mended(make_source: MakeSource, target: Client, key: str, values: str) -> None:
    columns, primary = key.split(", PRIMARY", 1)
    source = make_source(f"CREATE TABLE t ({columns}, v text NOT NULL, PRIMARY{primary})")
    run(source, f"INSERT INTO t SELECT {values}, 'v' || n FROM generate_series(1, 1000) n")
    source.apply()
    damage(target, source, "'wrong' AS v", "v IN ('v1', 'v500', 'v501', 'v1000')")
    damage(target, source, "1 AS _deleted", "v = 'v777'")
    run(source, "DELETE FROM t WHERE v = 'v42'")
    assert verify_tables([source.name])[0].differing == 5
    raw = f"raw_{source.name}.t"
    gone = f"(SELECT * FROM {raw} WHERE _deleted AND v = '')"  # the row that the source has deleted lives on
    target.command(
        f"INSERT INTO {raw} SELECT * REPLACE (0 AS _deleted, 'v42' AS v, _version + 1 AS _version) FROM {gone}"
    )
    mended = repaired(source)
    assert (mended.differing, mended.copied, mended.ended, mended.proof.equal) == (6, 5, 1, True)


def test_few_rows_are_held_at_a_time_however_many_differ(
    make_source: MakeSource, target: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where the key's first column tells few rows apart, its rows are dealt out by a hash."""
    monkeypatch.setattr("cdc.verify.comparing._ROWS_AT_ONCE", 100)
    source = make_source("CREATE TABLE t (a int, b int, v text, PRIMARY KEY (a, b))")
    run(source, "INSERT INTO t SELECT n % 2, n, 'v' FROM generate_series(1, 3000) n")
    source.apply()
    damage(target, source, "'wrong' AS v", "b % 30 = 0")
    mended = repaired(source)
    assert (mended.differing, mended.copied, mended.proof.equal) == (100, 100, True)


def test_a_table_of_which_much_differs_is_copied_whole(copied: ThrowAwaySource, target: Client) -> None:
    damage(target, copied, "'wrong' AS v", "id <= 1500")
    damage(target, copied, "toInt32(id + 100000) AS id", "id > 1990")
    mended = repaired(copied)
    assert (mended.resynced, mended.copied, mended.ended, mended.proof.equal) == (True, 2000, 10, True)


def test_a_table_is_mended_while_it_is_written(copied: ThrowAwaySource, target: Client) -> None:
    done = threading.Event()

    def write() -> None:
        with psycopg.connect(copied.dsn, autocommit=True) as connection:
            number = 0
            while not done.is_set():
                number += 1
                connection.execute("UPDATE t SET v = %s WHERE id = %s", [f"n{number}", 1 + number % 2000])
                connection.execute("DELETE FROM t WHERE id = %s", [1 + number * 7 % 2000])
                connection.execute("INSERT INTO t (id) VALUES (%s)", [2000 + number])

    damage(target, copied, "'wrong' AS v", "id % 10 = 0")
    writer = threading.Thread(target=write)
    writer.start()
    try:
        mended = repaired(copied)
    finally:
        done.set()
        writer.join()
    assert mended.proof.equal
    assert verify_tables([copied.name])[0].equal


@pytest.mark.parametrize(
    "above",
    [Version(200, 1, 1), Version(1, 1 << 50, 0)],
    ids=["an epoch the engine does not know", "a position that the log has not reached"],
)
def test_a_version_that_the_source_cannot_have_written_is_refused(
    copied: ThrowAwaySource, target: Client, above: Version
) -> None:
    raw = f"raw_{copied.name}.t"
    target.command(
        f"INSERT INTO {raw} SELECT * REPLACE ('wrong' AS v, toUInt128('{above.pack()}') AS _version) FROM {raw} WHERE id = 7"
    )
    with pytest.raises(PermanentError, match=f"its log has stepped back; `millrace cdc epoch --raise {copied.name}`"):
        repair_tables([copied.name])
    assert verify_tables([copied.name])[0].differing_keys == (("7",),)


def test_the_commands_say_what_was_mended(copied: ThrowAwaySource, target: Client) -> None:
    name = copied.name

    def called(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "stack.commands.main", "cdc", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    damage(target, copied, "'wrong' AS v", "id = 5")
    status, text = called("verify", f"{name}.t", "--json")
    verified = json.loads(text)
    assert (status, verified["equal"], verified["tables"][0]["keys"]) == (1, False, [["5"]])
    status, text = called("repair", f"{name}.t", "--json")
    mended = json.loads(text)
    assert (status, mended["equal"], mended["mended"]) == (0, True, 1)
    table = {"table": f"{name}.public.t", "rows": 2000, "differing": 0, "keys": [], "parked": 0, "clamped": 0}
    done = {"equal": True, "differed": 1, "copied": 1, "ended": 0, "resynced": False}
    assert {**mended["tables"][0], "lsn": 0} == table | done | {"lsn": 0}
    assert called("resync", f"{name}.public.t") == (0, f"{name}: copied public.t, 2000 rows\n")
    assert called("verify", "t", "--source", name)[0] == 0


def test_a_table_that_is_gone_does_not_pass_for_an_empty_one(
    copied: ThrowAwaySource, target: Client, stack: Stack
) -> None:
    with stack.stopped("cdc-keeper"):  # which would let the table go
        run(copied, "DROP TABLE t")
        for attempt in (lambda: repair_tables([copied.name]), lambda: copy_again(copied)):
            with pytest.raises(PermanentError, match=r"public\.t (is not there any more|cannot be read)"):
                attempt()
    assert target.query(f"SELECT count() FROM raw_{copied.name}.t FINAL").result_rows == [(2000,)]


def test_a_name_that_nothing_captured_has_is_refused(copied: ThrowAwaySource) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"no captured table is called nothing; there are .*{copied.name}.public.t"
    ):
        verify_tables(None, ["nothing"])
    with pytest.raises(ConfigurationError, match="no source nobody was applied"):
        repair_tables(["nobody"])
