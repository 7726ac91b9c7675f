"""The backfill: any table, behind its fence, beside the stream, and going on where it was killed."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from clickhouse_connect.driver.client import Client
from psycopg import sql

from bench.source import ThrowAwaySource
from cdc import source_database
from cdc.backfill import chunks, rows
from cdc.backfill.jobs import VoidBackfillError, claimed
from cdc.catalog import read_shapes
from cdc.errors import PermanentError, TransientError
from cdc.settings import settings
from cdc.verify import verify_tables
from stack.settings import ROOT
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, captured, copy_again, run, until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"
COMMAND = [sys.executable, "-m", "stack.commands.main", "cdc"]


@pytest.fixture
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of ten blocks."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 80 << 10)


def test_writes_during_the_copy_win_over_it(make_source: MakeSource, small_ranges: None) -> None:
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
        copy_again(source)
    finally:
        done.set()
        writer.join()
    assert verify_tables([source.name])[0].equal


def test_a_killed_backfill_goes_on_with_the_ranges_that_are_left(make_source: MakeSource) -> None:
    source = make_source(TABLE)
    run(source, "INSERT INTO t SELECT n, repeat('v', 150) || n FROM generate_series(1, 600000) n")
    source.capture()
    killed_when_half_done([*COMMAND, "backfill", str(source.path)], source)
    left = _ranges(source.name)
    assert left is not None and 0 < left.left < left.all
    seen: list[int] = []
    [copied] = copy_again(source, lambda _, rows, __: seen.append(rows), anew=False)
    assert seen[0] > left.rows > 0, "ranges that were done were copied again"
    assert (copied.rows, copied.fence) == (600000, left.fence)
    assert verify_tables([source.name])[0].equal


def test_a_killed_resync_is_gone_on_with_by_backfill(make_source: MakeSource, target: Client) -> None:
    source = make_source(TABLE)
    run(source, "INSERT INTO t SELECT n, repeat('v', 150) || n FROM generate_series(1, 600000) n")
    source.apply()
    raw = f"raw_{source.name}.t"
    target.command(f"INSERT INTO {raw} SELECT * REPLACE (-1 AS id) FROM {raw} WHERE endsWith(v, 'v1')")
    killed_when_half_done([*COMMAND, "resync", f"{source.name}.t"], source)
    done = subprocess.run(
        [*COMMAND, "backfill", str(source.path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "copied public.t, 600000 rows, ended 1 that the source no longer has" in done.stdout
    assert verify_tables([source.name])[0].equal
    again = subprocess.run(
        [*COMMAND, "backfill", str(source.path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert again.stdout == f"{source.name}: everything is copied\n"


def killed_when_half_done(command: list[str], source: ThrowAwaySource) -> None:
    """Run a copying command and end it by SIGKILL when some of its ranges are done, not all."""
    before = _ranges(source.name)
    assert before is None
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as copying:
        while (now := _ranges(source.name)) is None or now.left == now.all:
            assert copying.poll() is None, "the copy was over before it could be killed"
        copying.send_signal(signal.SIGKILL)


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("CREATE TABLE t (a text, b int, v text, PRIMARY KEY (a, b))", "chr(65 + n % 50) || '''\"\\', n, 'v'"),
        ("CREATE TABLE t (a uuid PRIMARY KEY, v text)", "gen_random_uuid(), repeat('v', n % 300)"),
        ("CREATE TABLE t (a timestamptz, b numeric(8, 2), PRIMARY KEY (b, a))", "now() + n * interval '1 s', n % 7"),
        (
            "CREATE TABLE t (a int, b text, PRIMARY KEY (a, b)) PARTITION BY RANGE (a);"
            "CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (MINVALUE) TO (700) PARTITION BY HASH (b);"
            "CREATE TABLE t_low_0 PARTITION OF t_low FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
            "CREATE TABLE t_low_1 PARTITION OF t_low FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
            "CREATE TABLE t_rest PARTITION OF t DEFAULT",
            "n, 'b' || n",
        ),
    ],
    ids=["composite text", "uuid", "timestamp and numeric", "partitions"],
)
def test_ranges_hold_every_row_once_whatever_the_key(
    make_source: MakeSource, small_ranges: None, table: str, rows: str
) -> None:
    source = make_source(table)
    run(source, f"INSERT INTO t SELECT {rows} FROM generate_series(1, 10003) n")
    [copied] = source.apply()
    assert copied.rows == 10003
    [proof] = verify_tables([source.name])
    assert (proof.equal, proof.rows_source) == (True, 10003)
    with source_database.connect(source.file) as connection:
        [shape] = [shape for shape in read_shapes(connection, source.name) if shape.table == "t"]
        assert len(chunks.cut(connection, shape)) > 3


def test_a_table_that_is_rewritten_during_the_copy_is_copied_anew(make_source: MakeSource, small_ranges: None) -> None:
    """The rewrite moves rows into blocks that were copied already, and no change of theirs is in the stream."""
    source = make_source(TABLE)
    run(source, "INSERT INTO t SELECT n, 'v' FROM generate_series(1, 60000) n", "DELETE FROM t WHERE id <= 30000")
    source.capture()
    rewritten: list[bool] = []

    def rewrite(*_: object) -> None:
        if not rewritten:
            rewritten.append(True)
            run(source, "VACUUM FULL t")

    [copied] = copy_again(source, rewrite, at_once=1)
    assert copied.rows == 30000
    assert verify_tables([source.name])[0].equal


def test_a_copy_goes_on_after_its_connections_were_cut(make_source: MakeSource, small_ranges: None) -> None:
    source = make_source(TABLE)
    run(source, "INSERT INTO t SELECT n, repeat('v', 50) FROM generate_series(1, 50000) n")
    source.capture()
    cut = 0

    def cut_them(_: str, __: int, share: float) -> None:
        nonlocal cut
        if cut == 0 or (cut == 1 and share > 0.5):
            cut += 1
            with psycopg.connect(source.dsn, autocommit=True) as connection:
                connection.execute(
                    """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'millrace' AND query ~ 'COPY|LOCK|pg_class'"""
                )

    [copied] = copy_again(source, cut_them)
    assert (copied.rows, cut) == (50000, 2)
    assert verify_tables([source.name])[0].equal


@pytest.mark.parametrize("begun", [False, True])
def test_a_connection_that_breaks_off_is_told_as_one_wherever_the_copy_is(make_source: MakeSource, begun: bool) -> None:
    source = make_source(TABLE)
    run(source, "INSERT INTO t SELECT n, repeat('v', 500) FROM generate_series(1, 20000) n")
    with closing(psycopg.connect(source.dsn)) as connection:
        pieces = rows.read(connection, sql.SQL("COPY {} TO STDOUT").format(sql.Identifier("t")), 1000)
        if begun:
            next(pieces)
        with socket.socket(fileno=os.dup(connection.fileno())) as beneath:
            beneath.shutdown(socket.SHUT_RDWR)  # as a server that is killed does it: no word comes before
        with pytest.raises(psycopg.OperationalError):
            list(pieces)


def test_a_raised_epoch_voids_a_backfill_that_runs_and_one_that_waits(
    make_source: MakeSource, small_ranges: None, target: Client
) -> None:
    source = make_source(TABLE)
    run(source, "INSERT INTO t SELECT n, 'v' FROM generate_series(1, 20000) n")
    source.capture()

    def raise_epoch(*_: object) -> None:
        with psycopg.connect(settings().millrace_state_dsn, autocommit=True) as state:
            state.execute("UPDATE millrace.sources SET epoch = 2 WHERE source = %s", [source.name])

    with pytest.raises(VoidBackfillError, match="the epoch was raised"):
        copy_again(source, raise_epoch)
    before = _ranges(source.name)
    assert before is not None and before.left > 0
    [copied] = copy_again(source, anew=False)
    assert copied.rows == 20000 and copied.fence > before.fence
    old = f"SELECT count() FROM raw_{source.name}.t FINAL WHERE bitShiftRight(_version, 112) = 1"
    assert target.query(old).result_rows == [(0,)]


def test_a_table_under_row_level_security_is_refused_rather_than_copied_in_part(make_source: MakeSource) -> None:
    """The role sees half of the rows; a copy of that half would end the others."""
    source = make_source(TABLE)
    role = f"limited_{source.name}"
    run(source, "INSERT INTO t SELECT n, 'v' FROM generate_series(1, 10) n")
    source.apply()
    run(
        source,
        f"CREATE ROLE {role} LOGIN PASSWORD 'limited'",
        f"GRANT SELECT ON t TO {role}",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY half ON t TO {role} USING (id <= 5)",
    )
    try:
        limited = psycopg.conninfo.make_conninfo(source.dsn, user=role, password="limited")
        with psycopg.connect(limited) as connection:
            assert connection.execute("SELECT count(*) FROM t").fetchone() == (5,)
        with psycopg.connect(settings().millrace_state_dsn, autocommit=True) as state:
            state.execute(
                "UPDATE millrace.sources SET definition = jsonb_set(definition::jsonb, '{dsn}', to_jsonb(%s::text)) WHERE source = %s",
                [limited, source.name],
            )
        with pytest.raises(PermanentError, match="BYPASSRLS"):
            copy_again(source)
        with pytest.raises(PermanentError, match="BYPASSRLS"):
            verify_tables([source.name])
    finally:
        with psycopg.connect(settings().millrace_state_dsn, autocommit=True) as state:
            state.execute("DELETE FROM millrace.backfills WHERE source = %s AND finished_at IS NULL", [source.name])
            state.execute(
                "UPDATE millrace.sources SET definition = jsonb_set(definition::jsonb, '{dsn}', to_jsonb(%s::text)) WHERE source = %s",
                [source.dsn, source.name],
            )
        run(source, f"DROP OWNED BY {role}", f"DROP ROLE {role}")
    assert verify_tables([source.name])[0].equal


def test_two_processes_do_not_copy_one_table_at_once(make_source: MakeSource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdc.backfill.jobs._CLAIM_WITHIN", "100ms")
    source = make_source(TABLE)
    source.apply()
    with (
        psycopg.connect(settings().millrace_state_dsn, autocommit=True) as state,
        claimed(state, list(captured(source).shapes)),
        pytest.raises(TransientError, match="another process"),
    ):
        copy_again(source)
    assert copy_again(source)[0].rows == 0


def highest_memory_mb(process: subprocess.Popen[bytes]) -> int:
    """The most resident memory that a process had, in MB, followed until it ends.

    Read from its own status: what wait4 tells includes the memory of the parent that it was forked from.
    """
    status, found = Path(f"/proc/{process.pid}/status"), 0
    while process.poll() is None:
        if highest := re.search(r"VmHWM:\s+(\d+) kB", status.read_text()):  # none once it is a zombie
            found = int(highest[1]) >> 10
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    return found


def test_wide_rows_are_copied_in_little_memory(make_source: MakeSource) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL")
    run(source, "INSERT INTO t SELECT n, repeat(md5(n::text), 65536) FROM generate_series(1, 200) n")  # 400 MB
    source.capture()
    copying = subprocess.Popen([*COMMAND, "backfill", str(source.path)], cwd=ROOT, stdout=subprocess.DEVNULL)
    peak = highest_memory_mb(copying)
    assert copying.returncode == 0
    assert 0 < peak < 400
    assert verify_tables([source.name])[0].equal


def test_a_table_is_added_and_removed_while_another_streams(
    make_source: MakeSource, target: Client, stack: Stack
) -> None:
    """The connector does not start anew, and the other table's changes go on to arrive."""
    source = make_source("CREATE TABLE busy (id int PRIMARY KEY)")
    source.apply()
    sender = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s"
    stop = threading.Event()
    with psycopg.connect(source.dsn, autocommit=True) as connection:
        at_first = connection.execute(sender, [source.file.slot]).fetchone()

    def visible(query: str) -> bool:
        return target.query(query).result_rows == [(1,)]

    def write_and_watch() -> None:
        with psycopg.connect(source.dsn, autocommit=True) as writer:
            number = 0
            while not stop.is_set():
                number += 1
                writer.execute("INSERT INTO busy VALUES (%s)", [number])
                seen = f"SELECT count() FROM raw_{source.name}.busy WHERE id = {number}"
                until(partial(visible, seen))

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(write_and_watch)
        try:
            with stack.stopped("cdc-keeper"):  # which would capture the new table by itself
                run(source, "CREATE TABLE late (id int PRIMARY KEY, v text)")
                run(source, "INSERT INTO late SELECT n, 'v' FROM generate_series(1, 20000) n")
                assert [copied.rows for copied in source.apply()] == [20000]
            run(source, "UPDATE late SET v = 'w' WHERE id <= 100")
            assert all(proof.equal for proof in verify_tables([source.name]))
            without = replace(source, file=source.file.model_copy(update={"exclude": ("public.late",)}))
            without.apply()
            run(source, "UPDATE late SET v = 'x' WHERE id <= 100", "DROP TABLE late")
            assert [proof.table for proof in verify_tables([source.name])] == ["public.busy"]
        finally:
            stop.set()
        watching.result()
    with psycopg.connect(source.dsn, autocommit=True) as connection:
        assert connection.execute(sender, [source.file.slot]).fetchone() == at_first


class Ranges(NamedTuple):
    """Ranges of the backfill under way."""

    left: int
    all: int
    rows: int
    fence: int


def _ranges(name: str) -> Ranges | None:
    """How far the unfinished backfill of the source's only table is; None when there is none."""
    with psycopg.connect(settings().millrace_state_dsn) as state:
        row = state.execute(
            """
            SELECT count(*) FILTER (WHERE c.rows IS NULL), count(*), coalesce(sum(c.rows), 0)::int8, b.fence
            FROM millrace.chunks c JOIN millrace.backfills b ON b.id = c.backfill
            WHERE b.source = %s AND b.finished_at IS NULL GROUP BY b.id
            """,
            [name],
        ).fetchone()
    return Ranges(*row) if row else None
