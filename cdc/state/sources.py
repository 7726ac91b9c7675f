"""The sources that the engine has applied: their files, their servers' identity, their epochs, and who is at work on one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Json

from cdc.source_file import SourceFile
from cdc.state.tables import raise_revision


@dataclass(frozen=True)
class SourceState:
    """What the engine remembers of a source database: its identity, to notice that it was replaced, and its epoch."""

    source: str
    system_identifier: int
    timeline: int
    epoch: int
    raising: str | None = None
    """Why the epoch is being raised; None: it is not."""
    keep_slot: bool = False
    """Whether that raise goes on with the slot that is there."""


_SOURCE = "source, system_identifier, timeline, epoch, raising, keep_slot"


def find_source(state: psycopg.Connection[Any], source: str) -> SourceState | None:
    """The remembered identity of a source, or None when it was never applied."""
    with state.cursor(row_factory=class_row(SourceState)) as cursor:
        return cursor.execute(f"SELECT {_SOURCE} FROM millrace.sources WHERE source = %s", [source]).fetchone()


def applied_sources(state: psycopg.Connection[Any]) -> list[tuple[SourceFile, SourceState]]:
    """Every applied source: its file as it was applied, and its identity."""
    rows = state.execute(f"SELECT definition, {_SOURCE} FROM millrace.sources ORDER BY source").fetchall()
    return [(SourceFile.model_validate(row[0]), SourceState(*row[1:])) for row in rows]


def applied_file(state: psycopg.Connection[Any], source: str) -> SourceFile | None:
    """A source's file as it is applied now, or None; whoever decides by it holds the source's line, so that it stays so."""
    row = state.execute("SELECT definition FROM millrace.sources WHERE source = %s", [source]).fetchone()
    return SourceFile.model_validate(row[0]) if row else None


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


def begin_raise(state: psycopg.Connection[Any], source: str, reason: str, *, keep_slot: bool = False) -> int:
    """Record that the epoch is being raised, durably; returns the new one.

    Once begun, calling again changes nothing but this: a slot that was to be kept is not, when ``keep_slot`` is false then.
    """
    row = state.execute(
        """
        UPDATE millrace.sources SET epoch = CASE WHEN raising IS NULL THEN epoch + 1 ELSE epoch END,
               keep_slot = (raising IS NULL OR keep_slot) AND %s, raising = coalesce(raising, %s)
        WHERE source = %s RETURNING epoch
        """,
        [keep_slot, reason, source],
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


def forget_source(state: psycopg.Connection[Any], source: str) -> None:
    """Forget a source with its tables, backfills, proofs, dead letters and erasures.

    Batches that a copier of its tables left open are closed: no later life of it would, and readers would wait for them.
    """
    with state.transaction():
        state.execute(
            "UPDATE millrace.batches SET closed_at = now() WHERE closed_at IS NULL AND starts_with(writer, %s)",
            [f"copy-{source}."],
        )
        state.execute("DELETE FROM millrace.dead_letters WHERE source = %s", [source])
        state.execute("DELETE FROM millrace.erasures WHERE source = %s", [source])
        state.execute("DELETE FROM millrace.tables WHERE source = %s", [source])
        state.execute("DELETE FROM millrace.proofs WHERE source = %s", [source])
        state.execute("DELETE FROM millrace.sources WHERE source = %s", [source])
        raise_revision(state)
