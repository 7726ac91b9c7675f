"""The backfill: behind its fence, beside the stream, and going on where it was killed."""

import signal
import subprocess
import sys
import threading
from typing import NamedTuple

import psycopg
import pytest

from cdc import source_database
from cdc.backfill import copy, fence
from cdc.backfill.chunks import cut
from cdc.catalog import read_shapes
from cdc.errors import TransientError
from cdc.settings import settings
from cdc.verify import verify_tables
from stack.settings import ROOT
from tests.integration.cdc.conftest import MakeSource, run

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"


def test_rows_of_a_transaction_that_was_open_at_the_fence_are_copied(make_source: MakeSource) -> None:
    source = make_source(TABLE)
    with psycopg.connect(source.dsn) as slow:
        slow.execute("INSERT INTO t SELECT n, 'slow' FROM generate_series(1, 100) n")
        said: list[str] = []
        raised: list[int] = []

        def raise_it() -> None:
            with source_database.connect(source.file) as connection:
                raised.append(fence.raise_fence(connection, say=said.append))

        waiting = threading.Thread(target=raise_it)
        waiting.start()
        with psycopg.connect(source.dsn, autocommit=True) as other:
            while other.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'millrace'"
            ).fetchone() != (1,):
                pass
        assert raised == []
        slow.commit()
        waiting.join(30)
    assert len(raised) == 1
    assert source.apply()[0].rows == 100
    assert verify_tables([source.name])[0].equal


def test_a_transaction_that_never_ends_is_named(make_source: MakeSource) -> None:
    source = make_source(TABLE)
    with psycopg.connect(source.dsn) as slow, source_database.connect(source.file) as connection:
        slow.execute("INSERT INTO t VALUES (1, 'slow')")
        with pytest.raises(TransientError, match=f"pid {slow.info.backend_pid} in {source.name}"):
            fence.raise_fence(connection, patience=0.2)


def test_writes_during_the_copy_win_over_it(make_source: MakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy, "_CHUNK_ROWS", 500)
    source = make_source(TABLE)
    run(source, "INSERT INTO t SELECT n, 'old' FROM generate_series(1, 20000) n")
    done = threading.Event()

    def write() -> None:
        with psycopg.connect(source.dsn, autocommit=True) as connection:
            turn = 0
            while not done.is_set():
                turn += 1
                connection.execute("UPDATE t SET v = %s WHERE id %% 97 = %s", [f"new {turn}", turn % 97])
                connection.execute("DELETE FROM t WHERE id = %s", [turn * 13 % 20000])
                connection.execute("INSERT INTO t VALUES (%s, 'born meanwhile')", [20000 + turn])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        source.apply()
    finally:
        done.set()
        writer.join()
    assert verify_tables([source.name])[0].equal


def test_a_killed_backfill_goes_on_with_the_ranges_that_are_left(make_source: MakeSource) -> None:
    source = make_source(TABLE)
    run(source, "INSERT INTO t SELECT n, repeat('v', 100) || n FROM generate_series(1, 600000) n")
    command = [sys.executable, "-m", "stack.commands.main", "cdc", "apply", str(source.path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL) as applying:
        while (left := _ranges(source.name)) is None or left.left == left.all:
            assert applying.poll() is None, "the copy was over before it could be killed"
        applying.send_signal(signal.SIGKILL)
    left = _ranges(source.name)
    assert left is not None
    assert 0 < left.left < left.all
    assert source.apply()[0].rows == 600000
    assert verify_tables([source.name])[0].equal


def test_ranges_hold_every_key_of_a_composite_text_key_once(make_source: MakeSource) -> None:
    source = make_source("CREATE TABLE pairs (a text, b int, PRIMARY KEY (a, b))")
    run(source, """INSERT INTO pairs SELECT chr(65 + n % 50) || '''"\\', n FROM generate_series(1, 1003) n""")
    with source_database.connect(source.file) as connection:
        [shape] = read_shapes(connection, source.name)
        assert len(cut(connection, shape, 100)) == 11
    assert source.apply()[0].rows == 1003
    assert verify_tables([source.name])[0].equal


class Ranges(NamedTuple):
    """Ranges of the backfill under way."""

    left: int
    all: int


def _ranges(name: str) -> Ranges | None:
    """How far the backfill of the source's only table is; None before it has begun."""
    with psycopg.connect(settings().millrace_state_dsn) as state:
        row = state.execute(
            """
            SELECT count(*) FILTER (WHERE c.rows IS NULL), count(*) FROM millrace.chunks c
            JOIN millrace.backfills b ON b.id = c.backfill WHERE b.source = %s
            """,
            [name],
        ).fetchone()
    return Ranges(*row) if row and row[1] else None
