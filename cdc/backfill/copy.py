"""Copies a table below its fence, range by range, several at once, resumable: done ranges are remembered."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import source_database
from cdc import state as engine_state
from cdc.backfill import jobs
from cdc.backfill.chunks import copy_statement
from cdc.backfill.jobs import Backfill, Chunk
from cdc.catalog import Shape
from cdc.sinks.clickhouse import raw_table, writer
from cdc.source_file import SourceFile
from cdc.version import Version

WRITER = "backfill"
_CHUNK_ROWS = 50_000
_AT_ONCE = 2
_PATIENCE = 120.0

Progress = Callable[[str, int, int], None]
"""Called with (table, rows copied so far, ranges left) after every range."""


@dataclass(frozen=True)
class Copied:
    """Outcome of one table's backfill."""

    name: str
    rows: int
    fence: int


def backfill(
    file: SourceFile,
    shapes: list[Shape],
    epoch: int,
    state_dsn: str,
    clickhouse: Client,
    progress: Progress = lambda *_: None,
) -> list[Copied]:
    """Copy the tables into ClickHouse, going on with unfinished backfills where there are any.

    One fence serves all tables that start now. Raises whatever a range raised (`cdc.errors`); ranges that were done
    stay done, and calling again goes on.
    """
    with engine_state.connect(state_dsn) as state, source_database.connect(file) as source:
        engine_state.close_abandoned(state, f"{WRITER}-{file.source}")
        started = jobs.start(state, source, shapes, epoch, _CHUNK_ROWS)
    return [_copy_table(file, shape, job, state_dsn, clickhouse, progress) for shape, job in started]


def _copy_table(
    file: SourceFile, shape: Shape, job: Backfill, state_dsn: str, clickhouse: Client, progress: Progress
) -> Copied:
    own = threading.local()
    opened: list[psycopg.Connection[Any]] = []

    def sessions() -> tuple[psycopg.Connection[Any], psycopg.Connection[Any]]:
        if not hasattr(own, "pair"):
            own.pair = source_database.connect(file), engine_state.connect(state_dsn)
            opened.extend(own.pair)
        pair: tuple[psycopg.Connection[Any], psycopg.Connection[Any]] = own.pair
        return pair

    def copy(chunk: Chunk) -> int:
        source, state = sessions()
        with source.cursor() as cursor, cursor.copy(copy_statement(shape, chunk.keys)) as rows:
            body = b"".join(bytes(block) for block in rows)
        count = body.count(b"\n")
        if count:
            version = Version(job.epoch, job.fence, 0).pack()
            writer.insert(
                clickhouse,
                state,
                f"{WRITER}-{file.source}",
                shape,
                body,
                lambda batch: raw_table.copy_insert(shape, version, batch),
                raw_table.COPY_SETTINGS,
                patience=_PATIENCE,
            )
        jobs.finish_chunk(state, job, chunk, count)
        return count

    try:
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="copy") as pool:
            rows, left = job.rows_done, len(job.chunks)
            for done in as_completed([pool.submit(copy, chunk) for chunk in job.chunks]):
                rows, left = rows + done.result(), left - 1
                progress(shape.topic, rows, left)
    finally:
        for connection in opened:
            connection.close()
    with engine_state.connect(state_dsn) as state:
        jobs.finish(state, job)
    return Copied(shape.qualified, rows, job.fence)
