"""The numbers of inserts: readers go up to the lowest that is open, and a new shape waits for those that are."""

from typing import Any

import psycopg


def open_batch(state: psycopg.Connection[Any], writer: str) -> int:
    """Take the next batch number for an insert by this writer; durable before the insert may start.

    The shared lock lets `readable_below` wait for numbers that are taken but not yet committed: without it, a reader
    could pass number 100 while its row is still invisible.
    """
    row = state.execute("SELECT millrace.open_batch(%s)", [writer]).fetchone()
    assert row is not None
    return int(row[0])


def open_batch_now(state: psycopg.Connection[Any], writer: str) -> tuple[int, int]:
    """Take the next batch number, and the revision of the shapes that the batch has to be written in."""
    row = state.execute("SELECT batch, revision FROM millrace.open_batch_now(%s)", [writer]).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


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


def close_orphaned(state: psycopg.Connection[Any], age: str) -> list[tuple[int, str]]:
    """Close what was opened ``age`` (an interval) ago by sessions that are gone; returns the batches with their writers.

    A killed repair or replay may never be called again, and nobody else closes what it left. The age gives ClickHouse time to end an
    insert whose client is gone.
    """
    rows = state.execute(
        """
        UPDATE millrace.batches b SET closed_at = now()
        WHERE closed_at IS NULL AND backend IS NOT NULL AND opened_at < now() - %s::interval AND NOT EXISTS (
            SELECT FROM pg_stat_activity a WHERE a.pid = b.backend AND a.backend_start <= b.opened_at)
        RETURNING batch, writer
        """,
        [age],
    ).fetchall()
    return [(int(batch), str(writer)) for batch, writer in rows]


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


def hold_batches(state: psycopg.Connection[Any]) -> int:
    """Let no batch be opened until the caller's transaction ends; returns the highest that was."""
    state.execute("SELECT pg_advisory_xact_lock(hashtext('millrace.batches'))")
    row = state.execute("SELECT coalesce(max(batch), 0) FROM millrace.batches").fetchone()
    assert row is not None
    return int(row[0])


def held_open(state: psycopg.Connection[Any], held_batch: int) -> list[str]:
    """Whose batches up to that one are open: they may still write by what was known when they were opened."""
    rows = state.execute(
        "SELECT DISTINCT writer FROM millrace.batches WHERE closed_at IS NULL AND batch <= %s ORDER BY 1", [held_batch]
    ).fetchall()
    return [writer for (writer,) in rows]


def forget_closed(state: psycopg.Connection[Any], limit: int, age: str) -> None:
    """Drop closed batches below the limit that are older than ``age`` (an interval); the highest number always stays."""
    state.execute(
        """
        DELETE FROM millrace.batches
        WHERE batch < %s AND closed_at < now() - %s::interval AND batch < (SELECT max(batch) FROM millrace.batches)
        """,
        [limit, age],
    )
