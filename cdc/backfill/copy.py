"""Copies tables below a fence: ranges of blocks, several at once across all tables, resumable, beside the stream.

Done ranges are remembered, so a killed backfill loses at most the ranges in flight. Memory is bounded by pieces of
some megabytes for each worker, whatever the rows weigh. At the end the rows that the source no longer has are ended, so
a first load, a resync and the copy of a table that was away for a while are the same.
"""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import dead_letters, failpoints, source_database
from cdc import state as engine_state
from cdc.backfill import append_only, jobs, rows
from cdc.backfill.chunks import AT_ONCE, copy_statement, still_there
from cdc.backfill.jobs import Backfill, Chunk, VoidBackfillError
from cdc.backfill.overtaken import resolve_overtaken
from cdc.backfill.refused import park, write_lines
from cdc.backfill.sessions import Sessions
from cdc.backfill.sweep import rows_below, sweep, sweep_truncated, wait_for_the_stream
from cdc.catalog import Shape, altered
from cdc.errors import TransientError
from cdc.shapes import follow
from cdc.sinks.clickhouse import history, raw_table, writer
from cdc.source_file import SourceFile

log = logging.getLogger("millrace.backfill")

PIECE_BYTES = 16 << 20  # of one insert: few large parts in ClickHouse cost it a third less than many small ones
_PATIENCE = 120.0
_MOST_REWRITES = 3

Progress = Callable[[str, int, float], None]
"""Called with (table, rows copied so far, share of the table that is done, 0 to 1)."""


@dataclass(frozen=True)
class Copied:
    """Outcome of one table's backfill: rows copied below the fence, and rows ended that the source no longer has."""

    name: str
    rows: int
    fence: int
    ended: int = 0


class _Rewritten(Exception):
    """Tells a worker's caller to begin the table anew; never leaves this module."""


class _Altered(Exception):
    """Tells a worker's caller that the table is not of the shape that it is copied in; never leaves this module."""


def backfill(
    file: SourceFile,
    shapes: list[Shape],
    epoch: int,
    state_dsn: str,
    clickhouse: Client,
    progress: Progress = lambda *_: None,
    *,
    anew: bool = False,
    at_once: int = AT_ONCE,
) -> list[Copied]:
    """Copy the tables into ClickHouse, going on with unfinished backfills where there are any.

    One fence serves all tables that start now. A table that is rewritten at the source meanwhile is begun anew. One that is altered
    is copied in its new shape; where that takes a new copy, it is left to the keeper, and is not among what is returned. Append-only
    tables come last, each by itself and always from its beginning.

    Args:
        file: the source.
        shapes: its tables, already captured.
        epoch: the source's epoch.
        state_dsn: the engine's state database.
        clickhouse: where the raw tables are.
        progress: see `Progress`.
        anew: copy everything again behind a fresh fence: a resync.
        at_once: ranges copied at the same time.

    Raises:
        CdcError: whatever a range raised; ranges that were done stay done, and calling again goes on.
    """
    done: dict[str, Copied] = {}
    with (
        engine_state.connect(state_dsn) as state,
        source_database.connect(file) as source,
        jobs.claimed(state, shapes),
    ):
        for shape in shapes:
            engine_state.close_abandoned(state, writer_name(shape))
        left = [shape for shape in shapes if not shape.append_only]
        for attempt in range(_MOST_REWRITES if left else 0):
            started = jobs.start(state, source, clickhouse, left, epoch, anew=anew and attempt == 0)
            copied, moved = _copy(file, started, state_dsn, clickhouse, progress, at_once)
            for shape, job in started:
                if shape not in copied and shape not in moved:
                    log.warning("%s was rewritten at the source while it was copied: it is copied anew", shape.topic)
                    jobs.discard(state, job)
            whole = [(shape, job) for shape, job in started if shape in copied]
            ended = _finish(file, whole, state, source, clickhouse)
            done |= {s.qualified: Copied(s.qualified, copied[s], job.fence, ended[s]) for s, job in whole}
            left = [shape for shape in left if shape not in copied and shape not in moved]
            left += _as_followed(file, moved, state, clickhouse)
            if not left:
                break
        for shape in [each for each in shapes if each.append_only]:
            [(_, job)] = jobs.start(state, source, clickhouse, [shape], epoch, anew=True)
            show = partial(progress, shape.topic)
            count = append_only.copy(file, shape, job, writer_name(shape), state, source, clickhouse, show)
            done[shape.qualified] = Copied(shape.qualified, count, job.fence)
    if not left:
        return [done[shape.qualified] for shape in shapes if shape.qualified in done]
    raise TransientError(
        f"{left[0].topic} was rewritten or altered {_MOST_REWRITES} times while it was copied; copy it in a quieter moment"
    )


def writer_name(shape: Shape) -> str:
    """What the batches of a table's copier are recorded under; only the holder of its claim uses it."""
    return f"copy-{shape.topic}"


def _copy(
    file: SourceFile,
    started: list[tuple[Shape, Backfill]],
    state_dsn: str,
    clickhouse: Client,
    progress: Progress,
    at_once: int,
) -> tuple[dict[Shape, int], set[Shape]]:
    """Copy every range that is left; rows of each table in all, and the tables that were altered meanwhile. Those are missing
    among the first, as are tables that were rewritten."""
    moved: set[Shape] = set()
    copied = {shape: job.rows_done for shape, job in started}
    left = {shape: len(job.chunks) for shape, job in started}
    with Sessions(file, state_dsn) as sessions, ThreadPoolExecutor(at_once, thread_name_prefix="copy") as pool:
        worker = _Worker(file, sessions, clickhouse)
        work = {
            pool.submit(worker.copy, shape, job, chunk): (shape, job) for shape, job in started for chunk in job.chunks
        }
        try:
            for future in as_completed(work):
                shape, job = work[future]
                try:
                    count = future.result()
                except (_Rewritten, _Altered) as error:
                    worker.give_up(shape)
                    copied.pop(shape, None)
                    if isinstance(error, _Altered):
                        moved.add(shape)
                left[shape] -= 1
                if shape in copied:
                    copied[shape] += count
                    progress(shape.topic, copied[shape], 1 - left[shape] / job.chunks_in_all)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return copied, moved


def _as_followed(
    file: SourceFile, moved: set[Shape], state: psycopg.Connection[Any], clickhouse: Client
) -> list[Shape]:
    """The tables that were altered while they were copied, as they are followed now; without those that the keeper copies."""
    names = {shape.qualified for shape in moved if not shape.staged}  # the keeper begins the others anew
    if names:
        follow(file.source, state, clickhouse)
    tables = [t for t in engine_state.captured_tables(state, file.source) if t.shape.qualified in names]
    for table in tables:
        log.warning("%s was altered while it was copied: %s", table.shape.topic, table.parked or "going on")
    return [table.shape for table in tables if table.parked is None]


class _Worker:
    """Copies ranges; shared by the threads, each with sessions of its own."""

    def __init__(self, file: SourceFile, sessions: Sessions, clickhouse: Client) -> None:
        self._file, self._sessions, self._clickhouse = file, sessions, clickhouse
        self._given_up: set[Shape] = set()

    def give_up(self, shape: Shape) -> None:
        """Leave out the table's ranges that have not begun."""
        self._given_up.add(shape)

    def copy(self, shape: Shape, job: Backfill, chunk: Chunk) -> int:
        """Copy one range, through losses of the connection; returns its rows."""
        deadline, pause = time.monotonic() + _PATIENCE, 0.1
        while shape not in self._given_up:
            try:
                return self._copy_once(shape, job, chunk)
            except VoidBackfillError:
                raise
            except (psycopg.Error, TransientError) as error:
                self._sessions.drop_mine()
                failure = (
                    error
                    if isinstance(error, TransientError)
                    else source_database.failure(self._file, shape.qualified, error)
                )
                if not isinstance(failure, TransientError) or time.monotonic() + pause > deadline:
                    raise failure from error
                log.warning("%s; going on in %.1f s", failure, pause)
            time.sleep(pause)  # backoff between tries of a part that is away, not a wait for a condition
            pause = min(pause * 2, 5.0)
        return 0

    def _copy_once(self, shape: Shape, job: Backfill, chunk: Chunk) -> int:
        source, state = self._sessions.mine()
        count = 0
        with source.transaction():
            name = still_there(source, shape, chunk.blocks)
            if altered(source, [shape]):  # asked under the lock: it cannot be while the range is read
                raise _Altered
            if name is None:
                raise _Rewritten
            try:
                for piece in rows.read(source, copy_statement(shape, name, chunk.blocks), PIECE_BYTES):
                    insert(self._clickhouse, state, shape, job.stamp, piece.body)
                    count += piece.rows
            except BaseException:
                source.close()  # it may be within the COPY
                raise
        jobs.finish_chunk(state, job, chunk, count)
        return count


def insert(clickhouse: Client, state: psycopg.Connection[Any], shape: Shape, stamp: int, body: bytes) -> None:
    """Write rows in COPY's text format into the raw table, each with the version ``stamp``; park those that are refused."""

    def write(text: bytes) -> None:
        writer.insert(
            clickhouse,
            state,
            writer_name(shape),
            shape,
            text,
            lambda batch: raw_table.copy_insert(shape, stamp, batch),
            raw_table.COPY_SETTINGS,
            patience=_PATIENCE,
        )

    if refused := write_lines(body, write):
        log.warning("%s: %d rows are refused and parked: %s", shape.topic, len(refused), refused[0][1].reason)
        park(state, shape, stamp, refused)
    failpoints.hit("backfill.range-inserted")


def _finish(
    file: SourceFile,
    whole: list[tuple[Shape, Backfill]],
    state: psycopg.Connection[Any],
    source: psycopg.Connection[Any],
    clickhouse: Client,
) -> dict[Shape, int]:
    """End what the source no longer has, and record the tables as copied; rows ended of each."""
    below = {shape: rows_below(clickhouse, shape, job) for shape, job in whole}
    if any(below.values()):
        wait_for_the_stream(file, source, [shape for shape, count in below.items() if count])
        below = {shape: rows_below(clickhouse, shape, job) if below[shape] else 0 for shape, job in whole}
    for shape, job in whole:
        if below[shape]:
            sweep(clickhouse, state, writer_name(shape), shape, job.stamp)
        sweep_truncated(clickhouse, state, writer_name(shape), shape, job.stamp)
        dead_letters.supersede_below(state, "clickhouse", shape.source, shape.qualified, job.stamp)
        resolve_overtaken(state, source, clickhouse, shape, job.stamp)
        history.withdraw_repeated(clickhouse, shape, job.stamp)
        jobs.finish(state, job)
    failpoints.hit("backfill.copied")
    return below
