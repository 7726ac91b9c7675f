"""What cannot be captured is refused before anything is changed, in a line that says what to do."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from bench.source import ThrowAwaySource
from cdc.errors import ConfigurationError
from stack.settings import ROOT
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, run

KEYED = "CREATE TABLE keyed (id int PRIMARY KEY, v text)"


def untouched(source: ThrowAwaySource) -> bool:
    """Whether neither a publication nor a slot was made in the source."""
    with psycopg.connect(source.dsn) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM pg_publication), (SELECT count(*) FROM pg_replication_slots WHERE database = current_database())"
        ).fetchone()
    return row == (0, 0)


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ("CREATE TABLE keyless (v text)", "public.keyless has no primary key.*exclude"),
        (
            "CREATE TABLE late (id int PRIMARY KEY DEFERRABLE)",
            "public.late has a deferrable primary key.*make it immediate",
        ),
    ],
)
def test_a_table_that_cannot_be_followed_is_refused_and_nothing_is_changed(
    make_source: MakeSource, tables: str, says: str
) -> None:
    source = make_source(f"{KEYED}; {tables}")
    with pytest.raises(ConfigurationError, match=says):
        source.apply()
    assert untouched(source)


def test_a_table_that_does_not_exist_is_refused_with_those_that_do(make_source: MakeSource, tmp_path: Path) -> None:
    source = make_source(KEYED)
    missing = replace(source, file=source.file.model_copy(update={"tables": ("public.nothing",)}))
    with pytest.raises(ConfigurationError, match=r"nothing matches 'public.nothing'; the database has public.keyed"):
        missing.apply()
    assert untouched(source)


def test_a_second_apply_changes_nothing_and_a_new_table_is_added_without_touching_the_others(
    make_source: MakeSource, stack: Stack
) -> None:
    source = make_source(KEYED)
    assert [copied.name for copied in source.apply()] == ["public.keyed"]
    assert source.apply() == []
    with stack.stopped("cdc-keeper"):  # which would capture the new table by itself
        run(source, "CREATE TABLE late (id int PRIMARY KEY)", "INSERT INTO late SELECT generate_series(1, 10)")
        assert [(copied.name, copied.rows) for copied in source.apply()] == [("public.late", 10)]


def test_a_captured_table_that_lost_its_key_is_refused_by_name(make_source: MakeSource) -> None:
    source = make_source(KEYED)
    source.apply()
    run(source, "ALTER TABLE keyed DROP CONSTRAINT keyed_pkey")
    with pytest.raises(ConfigurationError, match=r"public\.keyed has no primary key"):
        source.apply()


def test_a_lost_slot_is_refused_not_made_anew(make_source: MakeSource, stack: Stack) -> None:
    source = make_source(KEYED)
    source.apply()
    with stack.frozen("cdc-keeper"), psycopg.connect(source.dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s", [source.file.slot]
        )
        connection.execute("ALTER PUBLICATION millrace RENAME TO away")  # the connector cannot come back to the slot
        while connection.execute(
            "SELECT active FROM pg_replication_slots WHERE slot_name = %s", [source.file.slot]
        ).fetchone() == (True,):
            pass
        connection.execute("SELECT pg_drop_replication_slot(%s)", [source.file.slot])
        connection.execute("ALTER PUBLICATION away RENAME TO millrace")
        with pytest.raises(ConfigurationError, match=r"slot millrace_.* is gone"):
            source.apply()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("source: x\ndsn: ${NO_SUCH_DSN}\ntables: [a]\n", "needs the environment variable NO_SUCH_DSN"),
        ("source: x\ndsn: y\ntables: [a]\ntabels: [b]\n", "`tabels`: unknown key"),
    ],
)
def test_the_command_prints_one_line_and_exits_with_2(engine: None, tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "stack.commands.main", "cdc", "apply", str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
