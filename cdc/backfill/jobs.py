"""Backfills as kept in the engine's state: which ranges there are, which are done."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from cdc.backfill.chunks import Range, cut
from cdc.backfill.fence import raise_fence
from cdc.catalog import Shape


@dataclass(frozen=True)
class Chunk:
    """One range that is still to be copied."""

    number: int
    keys: Range


@dataclass(frozen=True)
class Backfill:
    """An unfinished backfill of one table; every row is stamped (epoch, fence, 0)."""

    id: int
    epoch: int
    fence: int
    chunks: tuple[Chunk, ...]
    rows_done: int


def start(
    state: psycopg.Connection[Any], source: psycopg.Connection[Any], shapes: list[Shape], epoch: int, chunk_rows: int
) -> list[tuple[Shape, Backfill]]:
    """The unfinished backfill of each table, made new behind one common fence where there is none.

    A backfill of an older epoch is void and is begun anew.
    """
    found = {shape.qualified: _unfinished(state, shape, epoch) for shape in shapes}
    if any(job is None for job in found.values()):
        fence = raise_fence(source)
        for shape in shapes:
            if found[shape.qualified] is None:
                found[shape.qualified] = _create(state, shape, epoch, fence, cut(source, shape, chunk_rows))
    return [(shape, job) for shape in shapes if (job := found[shape.qualified]) is not None]


def finish_chunk(state: psycopg.Connection[Any], job: Backfill, chunk: Chunk, rows: int) -> None:
    """Record a range as copied."""
    state.execute(
        "UPDATE millrace.chunks SET rows = %s WHERE backfill = %s AND number = %s", [rows, job.id, chunk.number]
    )


def finish(state: psycopg.Connection[Any], job: Backfill) -> None:
    """Record the whole table as copied; its ranges are forgotten."""
    with state.transaction():
        state.execute("UPDATE millrace.backfills SET finished_at = now() WHERE id = %s", [job.id])
        state.execute("DELETE FROM millrace.chunks WHERE backfill = %s", [job.id])


def _unfinished(state: psycopg.Connection[Any], shape: Shape, epoch: int) -> Backfill | None:
    with state.cursor(row_factory=dict_row) as cursor:
        job = cursor.execute(
            """
            SELECT b.id, b.epoch, b.fence, coalesce((SELECT sum(rows) FROM millrace.chunks WHERE backfill = b.id), 0)::int8 AS rows_done
            FROM millrace.backfills b
            WHERE b.source = %s AND b.name = %s AND b.epoch = %s AND b.finished_at IS NULL ORDER BY b.id DESC LIMIT 1
            """,
            [shape.source, shape.qualified, epoch],
        ).fetchone()
        if job is None:
            return None
        chunks = cursor.execute(
            "SELECT number, lower, upper FROM millrace.chunks WHERE backfill = %s AND rows IS NULL ORDER BY number",
            [job["id"]],
        ).fetchall()
    return Backfill(chunks=tuple(_chunk(**chunk) for chunk in chunks), **job)


def _create(state: psycopg.Connection[Any], shape: Shape, epoch: int, fence: int, ranges: list[Range]) -> Backfill:
    with state.transaction():
        row = state.execute(
            "INSERT INTO millrace.backfills (source, name, epoch, fence) VALUES (%s, %s, %s, %s) RETURNING id",
            [shape.source, shape.qualified, epoch, fence],
        ).fetchone()
        assert row is not None
        with state.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO millrace.chunks (backfill, number, lower, upper) VALUES (%s, %s, %s, %s)",
                [(row[0], n, _list(keys.lower), _list(keys.upper)) for n, keys in enumerate(ranges)],
            )
    return Backfill(row[0], epoch, fence, tuple(Chunk(n, keys) for n, keys in enumerate(ranges)), 0)


def _chunk(number: int, lower: list[str] | None, upper: list[str] | None) -> Chunk:
    return Chunk(number, Range(None if lower is None else tuple(lower), None if upper is None else tuple(upper)))


def _list(bound: tuple[str, ...] | None) -> list[str] | None:
    return None if bound is None else list(bound)
