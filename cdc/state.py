"""The engine's own state, in the database `millrace`: sources, shapes, backfills, batch numbers, proofs.

Sources are never written to for bookkeeping. Every function takes the connection it works on; transactions belong to
the caller unless the docstring says otherwise.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Json, Jsonb

from cdc import failpoints
from cdc.catalog import Shape
from cdc.source_file import SourceFile

MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True)
class SourceState:
    """What the engine remembers of a source database: its identity, to notice that it was replaced, and its epoch."""

    source: str
    system_identifier: int
    timeline: int
    epoch: int
    raising: str | None = None
    """Why the epoch is being raised; None: it is not."""


@dataclass(frozen=True)
class CapturedTable:
    """A table that is captured, with the shape the sinks write by."""

    shape: Shape
    targets: tuple[str, ...]
    backfilled: bool
    parked: str | None = None
    """Why it is not followed for the time being; None: it is."""
    mend: str | None = None
    """Why its copies are to be compared with the source and mended; None: nothing asks for it."""


def connect(dsn: str) -> psycopg.Connection[Any]:
    """Open the state database in autocommit mode and bring its tables up to date."""
    connection = psycopg.connect(dsn, autocommit=True, connect_timeout=10)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('millrace.migrations'))")
        connection.execute("CREATE SCHEMA IF NOT EXISTS millrace")
        connection.execute("CREATE TABLE IF NOT EXISTS millrace.migrations (name text PRIMARY KEY)")
        applied = {row[0] for row in connection.execute("SELECT name FROM millrace.migrations")}
        for path in sorted(MIGRATIONS.glob("*.sql")):
            if path.name not in applied:
                connection.execute(path.read_text())
                connection.execute("INSERT INTO millrace.migrations VALUES (%s)", [path.name])
    failpoints.arm(connection)
    return connection


_SOURCE = "source, system_identifier, timeline, epoch, raising"


def find_source(state: psycopg.Connection[Any], source: str) -> SourceState | None:
    """The remembered identity of a source, or None when it was never applied."""
    with state.cursor(row_factory=class_row(SourceState)) as cursor:
        return cursor.execute(f"SELECT {_SOURCE} FROM millrace.sources WHERE source = %s", [source]).fetchone()


def applied_sources(state: psycopg.Connection[Any]) -> list[tuple[SourceFile, SourceState]]:
    """Every applied source: its file as it was applied, and its identity."""
    rows = state.execute(f"SELECT definition, {_SOURCE} FROM millrace.sources ORDER BY source").fetchall()
    return [(SourceFile.model_validate(row[0]), SourceState(*row[1:])) for row in rows]


def remember_source(
    state: psycopg.Connection[Any], file: SourceFile, system_identifier: int, timeline: int
) -> SourceState:
    """Record a source at its first apply, with epoch 1; later calls replace the file only."""
    state.execute(
        """
        INSERT INTO millrace.sources (source, system_identifier, timeline, definition) VALUES (%s, %s, %s, %s)
        ON CONFLICT (source) DO UPDATE SET definition = excluded.definition
        """,
        [file.source, system_identifier, timeline, Json(file.model_dump(mode="json"))],
    )
    found = find_source(state, file.source)
    assert found is not None
    return found


@contextmanager
def line_of(state: psycopg.Connection[Any], source: str, *, wait: bool = True) -> Iterator[bool]:
    """Hold a source's line for the block: no other process applies it, removes it or raises its epoch meanwhile.

    Gives whether it is held; it always is when ``wait`` is true. The same session may hold it twice.
    """
    call = "pg_advisory_lock" if wait else "pg_try_advisory_lock"
    row = state.execute(f"SELECT {call}(hashtext('millrace.line'), hashtext(%s))", [source]).fetchone()
    held = wait or (row is not None and bool(row[0]))
    try:
        yield held
    finally:
        if held and not state.closed:
            state.execute("SELECT pg_advisory_unlock(hashtext('millrace.line'), hashtext(%s))", [source])


def begin_raise(state: psycopg.Connection[Any], source: str, reason: str) -> int:
    """Record that the epoch is being raised, durably; returns the new one. Once begun, calling again changes nothing."""
    row = state.execute(
        """
        UPDATE millrace.sources SET epoch = CASE WHEN raising IS NULL THEN epoch + 1 ELSE epoch END,
               raising = coalesce(raising, %s)
        WHERE source = %s RETURNING epoch
        """,
        [reason, source],
    ).fetchone()
    assert row is not None
    return int(row[0])


def change_line(state: psycopg.Connection[Any], source: str, identity: tuple[int, int]) -> None:
    """Record the server and timeline that the source's slot belongs to; older backfills are void."""
    with state.transaction():
        state.execute(
            "UPDATE millrace.sources SET system_identifier = %s, timeline = %s WHERE source = %s", [*identity, source]
        )
        state.execute(
            """
            DELETE FROM millrace.backfills b USING millrace.sources s
            WHERE b.source = s.source AND s.source = %s AND b.epoch < s.epoch AND b.finished_at IS NULL
            """,
            [source],
        )


def end_raise(state: psycopg.Connection[Any], source: str, reason: str) -> None:
    """Record that the raise is done, and ask for all copies of the source to be mended."""
    with state.transaction():
        state.execute("UPDATE millrace.tables SET mend = %s WHERE source = %s", [reason, source])
        state.execute("UPDATE millrace.sources SET raising = NULL WHERE source = %s", [source])


def ask_to_mend(state: psycopg.Connection[Any], shape: Shape, reason: str) -> None:
    """Ask the keeper to compare a table's copies with the source and mend them."""
    state.execute(
        "UPDATE millrace.tables SET mend = %s WHERE source = %s AND name = %s", [reason, shape.source, shape.qualified]
    )


def mended(state: psycopg.Connection[Any], shape: Shape, reason: str) -> None:
    """Take back a request to mend, unless another has come since."""
    state.execute(
        "UPDATE millrace.tables SET mend = NULL WHERE source = %s AND name = %s AND mend = %s",
        [shape.source, shape.qualified, reason],
    )


def captured_tables(state: psycopg.Connection[Any], source: str | None = None) -> list[CapturedTable]:
    """The captured tables of one source, or of all, by name."""
    with state.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            SELECT t.shape, t.targets, t.parked, t.mend, EXISTS (
                SELECT FROM millrace.backfills b
                WHERE (b.source, b.name) = (t.source, t.name) AND b.finished_at IS NOT NULL) AS backfilled
            FROM millrace.tables t WHERE %(source)s::text IS NULL OR t.source = %(source)s
            ORDER BY t.source, t.name
            """,
            {"source": source},
        ).fetchall()
    return [
        CapturedTable(
            Shape.from_dict(row["shape"]), tuple(row["targets"]), row["backfilled"], row["parked"], row["mend"]
        )
        for row in rows
    ]


def capture_table(state: psycopg.Connection[Any], shape: Shape, targets: tuple[str, ...]) -> None:
    """Record a table as captured, or replace its shape and targets; it is followed from now on."""
    state.execute(
        """
        INSERT INTO millrace.tables (source, name, shape, targets) VALUES (%s, %s, %s, %s)
        ON CONFLICT (source, name) DO UPDATE SET shape = excluded.shape, targets = excluded.targets, parked = NULL
        """,
        [shape.source, shape.qualified, Jsonb(shape.to_dict()), list(targets)],
    )


def park_table(state: psycopg.Connection[Any], shape: Shape, reason: str) -> None:
    """Stop following a table, with the reason; the others go on, and its changes wait in their topic."""
    state.execute(
        "UPDATE millrace.tables SET parked = %s WHERE source = %s AND name = %s",
        [reason, shape.source, shape.qualified],
    )


def release_table(state: psycopg.Connection[Any], shape: Shape) -> None:
    """Forget a table that is captured no longer; its raw table stays."""
    state.execute("DELETE FROM millrace.tables WHERE source = %s AND name = %s", [shape.source, shape.qualified])


def forget_source(state: psycopg.Connection[Any], source: str) -> None:
    """Forget a source with its tables, backfills, proofs and dead letters."""
    with state.transaction():
        state.execute("DELETE FROM millrace.dead_letters WHERE source = %s", [source])
        state.execute("DELETE FROM millrace.tables WHERE source = %s", [source])
        state.execute("DELETE FROM millrace.proofs WHERE source = %s", [source])
        state.execute("DELETE FROM millrace.sources WHERE source = %s", [source])


def open_batch(state: psycopg.Connection[Any], writer: str) -> int:
    """Take the next batch number for an insert by this writer; durable before the insert may start.

    The shared lock lets `readable_below` wait for numbers that are taken but not yet committed: without it, a reader
    could pass number 100 while its row is still invisible.
    """
    row = state.execute("SELECT millrace.open_batch(%s)", [writer]).fetchone()
    assert row is not None
    return int(row[0])


def close_batch(state: psycopg.Connection[Any], batch: int) -> None:
    """Record that the insert of this batch is visible in the target.

    Asynchronous on purpose: a close that a crash of the server forgets only keeps readers below it until the writer,
    on its next start, calls `close_abandoned`.
    """
    with state.transaction():
        state.execute("SET LOCAL synchronous_commit = off")
        state.execute("UPDATE millrace.batches SET closed_at = now() WHERE batch = %s", [batch])


def close_abandoned(state: psycopg.Connection[Any], writer: str) -> None:
    """Close what an earlier life of this writer left open: whatever it did write is visible by now or never will be."""
    state.execute("UPDATE millrace.batches SET closed_at = now() WHERE writer = %s AND closed_at IS NULL", [writer])


def readable_below(state: psycopg.Connection[Any]) -> int:
    """Batches below this number are complete: the lowest open one, or one above the highest."""
    with state.transaction():
        state.execute("SELECT pg_advisory_xact_lock(hashtext('millrace.batches'))")
        row = state.execute(
            """
            SELECT coalesce((SELECT min(batch) FROM millrace.batches WHERE closed_at IS NULL),
                            (SELECT max(batch) + 1 FROM millrace.batches), 1)
            """
        ).fetchone()
    assert row is not None
    return int(row[0])


def forget_closed(state: psycopg.Connection[Any], limit: int, age: str) -> None:
    """Drop closed batches below the limit that are older than ``age`` (an interval); the highest number always stays."""
    state.execute(
        """
        DELETE FROM millrace.batches
        WHERE batch < %s AND closed_at < now() - %s::interval AND batch < (SELECT max(batch) FROM millrace.batches)
        """,
        [limit, age],
    )


def record_proof(
    state: psycopg.Connection[Any], shape: Shape, target: str, lsn: int, rows: tuple[int, int], differing: int
) -> None:
    """Keep the outcome of one verification; ``rows`` is (source, target)."""
    state.execute(
        "INSERT INTO millrace.proofs (source, name, target, lsn, source_rows, target_rows, differing) VALUES (%s,%s,%s,%s,%s,%s,%s)",
        [shape.source, shape.qualified, target, lsn, *rows, differing],
    )
