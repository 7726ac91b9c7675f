"""Backfills as kept in the engine's state: which ranges there are, which are done, who is at work.

A backfill belongs to the epoch it began in: raising the epoch makes it void, even while it runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client
from psycopg.rows import class_row

from cdc import failpoints
from cdc.backfill.chunks import Blocks, cut
from cdc.backfill.fence import raise_fence
from cdc.backfill.missed_epoch import highest_version, refuse_missed_epoch
from cdc.catalog import Shape
from cdc.errors import TransientError
from cdc.version import Version

_CLAIM_WITHIN = "5s"  # a killed process' session ends a moment after it


class VoidBackfillError(TransientError):
    """The backfill that was being worked on exists no more; a new one has to be begun."""


@dataclass(frozen=True)
class Chunk:
    """One range that is still to be copied."""

    number: int
    blocks: Blocks


@dataclass(frozen=True)
class Backfill:
    """An unfinished backfill of one table; every row is stamped (epoch, fence, 0)."""

    id: int
    epoch: int
    fence: int
    chunks: tuple[Chunk, ...]
    chunks_in_all: int
    rows_done: int

    @property
    def stamp(self) -> int:
        """The version of every row that it copies."""
        return Version(self.epoch, self.fence, 0).pack()


@contextmanager
def claimed(state: psycopg.Connection[Any], shapes: list[Shape]) -> Iterator[None]:
    """Be the only process that copies these tables; the claim ends with the block, or with the session.

    Raises:
        TransientError: another process is copying one of them.
    """
    held: list[Shape] = []
    try:
        for shape in sorted(shapes, key=lambda each: each.topic):
            try:
                with state.transaction():
                    state.execute(f"SET LOCAL lock_timeout = '{_CLAIM_WITHIN}'")
                    state.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [_claim(shape)])
            except psycopg.errors.LockNotAvailable:
                raise TransientError(
                    f"{shape.topic} is being copied by another process; wait for it, or end it and try again"
                ) from None
            held.append(shape)
        yield
    finally:
        if not state.closed:
            for shape in held:
                state.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [_claim(shape)])


def start(
    state: psycopg.Connection[Any],
    source: psycopg.Connection[Any],
    target: Client,
    shapes: list[Shape],
    epoch: int,
    *,
    anew: bool,
) -> list[tuple[Shape, Backfill]]:
    """The unfinished backfill of each table, made new behind one common fence where there is none.

    Args:
        state, source, target: sessions; the tables must be `claimed`.
        shapes: tables of one source.
        epoch: the source's epoch; a backfill of an older one is void and is begun anew.
        anew: begin all of them anew, with a fresh fence.

    Raises:
        PermanentError: a copy holds versions that its source cannot have written.
        TransientError: transactions that were open at the fence did not end.
    """
    for shape in shapes:
        state.execute(
            "DELETE FROM millrace.backfills WHERE (source, name) = (%s, %s) AND finished_at IS NULL AND (epoch <> %s OR %s)",
            [shape.source, shape.qualified, epoch, anew],
        )
    found = {shape.qualified: _unfinished(state, shape) for shape in shapes}
    fresh = [shape for shape in shapes if found[shape.qualified] is None]
    if fresh:
        highest = {shape: highest_version(target, shape) for shape in fresh}
        fence = raise_fence(source)
        failpoints.hit("backfill.fence-raised")
        for shape, version in highest.items():
            refuse_missed_epoch(shape, version, Version(epoch, fence, 0))
        for shape in fresh:
            found[shape.qualified] = _create(state, shape, epoch, fence, cut(source, shape))
    return [(shape, job) for shape in shapes if (job := found[shape.qualified]) is not None]


def unfinished(state: psycopg.Connection[Any], source: str) -> set[str]:
    """``schema.table`` of the source's captured tables whose copy was begun, or is due, and not ended."""
    rows = state.execute(
        """
        SELECT t.name FROM millrace.tables t LEFT JOIN millrace.backfills b ON (b.source, b.name) = (t.source, t.name)
        WHERE t.source = %s GROUP BY t.name HAVING count(b.finished_at) = 0 OR count(b.id) > count(b.finished_at)
        """,
        [source],
    ).fetchall()
    return {name for (name,) in rows}


def finish_chunk(state: psycopg.Connection[Any], job: Backfill, chunk: Chunk, rows: int) -> None:
    """Record a range as copied. Not flushed to disk at once: a range that is forgotten is copied again.

    Raises:
        VoidBackfillError: the backfill is void.
    """
    with state.transaction():
        state.execute("SET LOCAL synchronous_commit = off")
        _alive(
            state.execute(
                """
                UPDATE millrace.chunks c SET rows = %s FROM millrace.backfills b JOIN millrace.sources s USING (source)
                WHERE b.id = c.backfill AND b.epoch = s.epoch AND c.backfill = %s AND c.number = %s
                """,
                [rows, job.id, chunk.number],
            ).rowcount
        )


def finish(state: psycopg.Connection[Any], job: Backfill) -> None:
    """Record the whole table as copied; its ranges are forgotten.

    Raises:
        VoidBackfillError: the backfill is void.
    """
    with state.transaction():
        _alive(
            state.execute(
                """
                UPDATE millrace.backfills b SET finished_at = now() FROM millrace.sources s
                WHERE s.source = b.source AND s.epoch = b.epoch AND b.id = %s
                """,
                [job.id],
            ).rowcount
        )
        state.execute("DELETE FROM millrace.chunks WHERE backfill = %s", [job.id])


def refuse_void(state: psycopg.Connection[Any], job: Backfill) -> None:
    """Return while the backfill is one of its source's present epoch.

    Raises:
        VoidBackfillError: it is not.
    """
    alive = "SELECT FROM millrace.backfills b JOIN millrace.sources s USING (source, epoch) WHERE b.id = %s"
    _alive(state.execute(alive, [job.id]).rowcount)


def _alive(updated: int) -> None:
    if updated == 0:
        raise VoidBackfillError(
            "the backfill is void: the epoch was raised or the table released meanwhile; `millrace cdc backfill` begins it anew"
        )


def discard(state: psycopg.Connection[Any], job: Backfill) -> None:
    """Forget an unfinished backfill."""
    state.execute("DELETE FROM millrace.backfills WHERE id = %s AND finished_at IS NULL", [job.id])


@dataclass(frozen=True)
class _Row:
    id: int
    epoch: int
    fence: int
    chunks_in_all: int
    rows_done: int


@dataclass(frozen=True)
class _ChunkRow:
    number: int
    relation: int
    filenode: int
    first: int | None
    beyond: int | None


def _unfinished(state: psycopg.Connection[Any], shape: Shape) -> Backfill | None:
    with state.cursor(row_factory=class_row(_Row)) as cursor:
        job = cursor.execute(
            """
            SELECT b.id, b.epoch, b.fence, count(c.number) AS chunks_in_all, coalesce(sum(c.rows), 0)::int8 AS rows_done
            FROM millrace.backfills b LEFT JOIN millrace.chunks c ON c.backfill = b.id
            WHERE (b.source, b.name) = (%s, %s) AND b.finished_at IS NULL GROUP BY b.id ORDER BY b.id DESC LIMIT 1
            """,
            [shape.source, shape.qualified],
        ).fetchone()
    if job is None:
        return None
    with state.cursor(row_factory=class_row(_ChunkRow)) as cursor:
        rows = cursor.execute(
            "SELECT number, relation, filenode, first, beyond FROM millrace.chunks WHERE backfill = %s AND rows IS NULL ORDER BY number",
            [job.id],
        ).fetchall()
    chunks = tuple(Chunk(c.number, Blocks(c.relation, c.filenode, c.first, c.beyond)) for c in rows)
    return Backfill(job.id, job.epoch, job.fence, chunks, job.chunks_in_all, job.rows_done)


def _create(state: psycopg.Connection[Any], shape: Shape, epoch: int, fence: int, ranges: list[Blocks]) -> Backfill:
    with state.transaction():
        row = state.execute(
            "INSERT INTO millrace.backfills (source, name, epoch, fence) VALUES (%s, %s, %s, %s) RETURNING id",
            [shape.source, shape.qualified, epoch, fence],
        ).fetchone()
        assert row is not None
        with (
            state.cursor() as cursor,
            cursor.copy(
                "COPY millrace.chunks (backfill, number, relation, filenode, first, beyond) FROM STDIN"
            ) as lines,
        ):
            for number, blocks in enumerate(ranges):
                lines.write_row((row[0], number, *blocks))
    chunks = tuple(Chunk(number, blocks) for number, blocks in enumerate(ranges))
    return Backfill(row[0], epoch, fence, chunks, len(chunks), 0)


def _claim(shape: Shape) -> str:
    return f"millrace.copy {shape.topic}"
