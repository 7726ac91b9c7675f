"""The engine's own state, in the database `millrace`: sources, shapes, backfills, batch numbers, proofs.

Sources are never written to for bookkeeping. Every function takes the connection it works on; transactions belong to
the caller unless the docstring says otherwise.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row
from psycopg.types.json import Json, Jsonb

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


@dataclass(frozen=True)
class CapturedTable:
    """A table that is captured, with the shape the sinks write by."""

    shape: Shape
    targets: tuple[str, ...]
    backfilled: bool
    parked: str | None
    """Why it is not followed for the time being; None: it is."""


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
    return connection


def find_source(state: psycopg.Connection[Any], source: str) -> SourceState | None:
    """The remembered identity of a source, or None when it was never applied."""
    with state.cursor(row_factory=class_row(SourceState)) as cursor:
        return cursor.execute(
            "SELECT source, system_identifier, timeline, epoch FROM millrace.sources WHERE source = %s", [source]
        ).fetchone()


def applied_sources(state: psycopg.Connection[Any]) -> list[tuple[SourceFile, SourceState]]:
    """Every applied source: its file as it was applied, and its identity."""
    rows = state.execute(
        "SELECT definition, source, system_identifier, timeline, epoch FROM millrace.sources ORDER BY source"
    ).fetchall()
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


def captured_tables(state: psycopg.Connection[Any], source: str | None = None) -> list[CapturedTable]:
    """The captured tables of one source, or of all, by name."""
    with state.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            SELECT t.shape, t.targets, t.parked, EXISTS (
                SELECT FROM millrace.backfills b
                WHERE (b.source, b.name) = (t.source, t.name) AND b.finished_at IS NOT NULL) AS backfilled
            FROM millrace.tables t WHERE %(source)s::text IS NULL OR t.source = %(source)s
            ORDER BY t.source, t.name
            """,
            {"source": source},
        ).fetchall()
    return [
        CapturedTable(Shape.from_dict(row["shape"]), tuple(row["targets"]), row["backfilled"], row["parked"])
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
