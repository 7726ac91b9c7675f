"""Copies an append-only table: whole, in one snapshot, and exchanged for the copy before it.

Rows without a key cannot win over one another, so a row must come by one way only: the copy holds what its snapshot saw, and the
stream brings the rest. The table is locked before the snapshot is taken (ACCESS SHARE, against TRUNCATE and rewrites), and a message
of ours is committed before the lock is given up. So a TRUNCATE that the snapshot saw has a version below the copied rows' (the log's
position just after the snapshot), and any other one has a version above it.

What the snapshot saw is recorded first, and only then the copied rows take the place of the earlier ones and the streamed rows that
they hold are ended. A crash in between leaves rows out, never in twice: they are in the table, so the copy that is begun anew has
them. The other way around a sink would go on writing rows that are held already. Sinks that have not heard of the snapshot yet may
still do so for a moment: the keeper sweeps once more when they have (`cdc.keeper.floors`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
from psycopg import sql

from cdc import dead_letters, failpoints, floors, source_database
from cdc import state as engine_state
from cdc.backfill import jobs, rows
from cdc.backfill.jobs import Backfill
from cdc.backfill.refused import park_numbered, write_lines
from cdc.backfill.sweep import sweep, sweep_truncated
from cdc.catalog import Shape, altered
from cdc.clickhouse import first_line, quote
from cdc.errors import TransientError
from cdc.floors import Snapshot
from cdc.sinks.clickhouse import cluster, raw_table, writer
from cdc.sinks.clickhouse.writer import Waiting
from cdc.source_file import SourceFile
from cdc.types import in_source, mapping
from cdc.version import Version

_PIECE_BYTES = 16 << 20
_PATIENCE = 120.0


def copy(
    file: SourceFile,
    shape: Shape,
    job: Backfill,
    writer_name: str,
    state: psycopg.Connection[Any],
    source: psycopg.Connection[Any],
    clickhouse: Client,
    progress: Callable[[int, float], None],
) -> int:
    """Copy the table and end what the copy before it held; returns its rows.

    Args:
        file, shape: the table; the caller has claimed it.
        job: its backfill, begun just now: its fence has passed.
        writer_name: what its batch is recorded under.
        state, source: sessions in autocommit.
        clickhouse: where the raw table is.
        progress: called with rows copied so far and the share of the table that they are.

    Raises:
        CdcError: the table's copy is as it was, or lacks rows until it is copied anew.
    """
    staging = staging_table(shape)
    raw = raw_table.qualified(shape)
    with _exchanging(shape):
        cluster.make_database(clickhouse, "raw_millrace")
        cluster.drop(clickhouse, staging)
        cluster.define(clickhouse, f"CREATE TABLE {staging} AS {raw} {raw_table.engine_of(shape)}", staging, raw)
    snapshot, count = _read(file, shape, job, staging, state, source, clickhouse, progress)
    _end_former_numbers(clickhouse, shape, staging, snapshot, count)
    failpoints.hit("backfill.staged")
    jobs.refuse_void(state, job)
    # Readers that follow `_batch` must not have passed the rows' number before the rows are there.
    batch = engine_state.open_batch(state, writer_name)
    numbered = f"ALTER TABLE {staging} UPDATE _batch = {batch} WHERE 1 SETTINGS mutations_sync = 1"
    with _exchanging(shape):
        cluster.change(clickhouse, numbered, staging)
    floors.set_snapshot(state, snapshot)
    failpoints.hit("backfill.snapshot-recorded")
    with _exchanging(shape):
        cluster.change(clickhouse, f"ALTER TABLE {raw} REPLACE PARTITION 1 FROM {staging}", raw, staging)
    engine_state.close_batch(state, batch)
    failpoints.hit("backfill.exchanged")
    sweep(clickhouse, state, writer_name, shape, snapshot.version, snapshot.swept)
    sweep_truncated(clickhouse, state, writer_name, shape, snapshot.version)
    dead_letters.supersede_below(state, "clickhouse", shape.source, shape.qualified, job.stamp)
    jobs.finish(state, job)
    failpoints.hit("backfill.copied")
    with _exchanging(shape):
        cluster.drop(clickhouse, staging)
    return count


def staging_table(shape: Shape) -> str:
    """Quoted name of the table that a copy is gathered in; no raw table can have it."""
    return f"raw_millrace.{quote(shape.topic)}"


def _read(
    file: SourceFile,
    shape: Shape,
    job: Backfill,
    staging: str,
    state: psycopg.Connection[Any],
    source: psycopg.Connection[Any],
    clickhouse: Client,
    progress: Callable[[int, float], None],
) -> tuple[Snapshot, int]:
    count = 0
    with source_database.connect(file) as reader, source_database.reading(file, shape.qualified):
        expected = source_database.estimated_rows(reader, shape.schema, shape.table)
        with reader.transaction():
            seen = source_database.begin_snapshot(reader, shape.rows)
            if altered(reader, [shape]):
                raise TransientError(f"{shape.topic} was altered while its copy was begun; copy it again")
            after = Version(job.epoch, seen.lsn, 0).pack()
            snapshot = Snapshot(shape.source, shape.qualified, job.stamp, after, seen.xmin, seen.xmax, seen.running)
            statement = raw_table.append_only_copy_insert(shape, staging, snapshot.version)
            try:
                for piece in rows.read(reader, _numbered(shape), _PIECE_BYTES):
                    _insert(clickhouse, state, shape, snapshot, statement, piece.body)
                    count += piece.rows
                    progress(count, min(count / max(expected, 1), 0.99))
            except BaseException:
                reader.close()  # it may be within the COPY
                raise
            source_database.heartbeat(source)  # a commit between the snapshot and whatever waits for the lock
    progress(count, 1.0)
    return snapshot, count


def _numbered(shape: Shape) -> sql.Composed:
    values = [in_source(mapping(column).copy, column) for column in shape.columns]
    return sql.SQL("COPY (SELECT row_number() OVER (), {values} FROM {rows}) TO STDOUT (FORMAT text)").format(
        values=sql.SQL(", ").join(values), rows=shape.rows
    )


def _insert(
    clickhouse: Client,
    state: psycopg.Connection[Any],
    shape: Shape,
    snapshot: Snapshot,
    statement: str,
    body: bytes,
) -> None:
    def write(text: bytes) -> None:
        writer.send(clickhouse, shape, statement, text, raw_table.COPY_SETTINGS, waiting=Waiting(_PATIENCE))

    if refused := write_lines(body, write):
        park_numbered(state, shape, snapshot.version, refused)


def _end_former_numbers(clickhouse: Client, shape: Shape, staging: str, snapshot: Snapshot, count: int) -> None:
    """Tombstones for the numbers that the copy before had beyond this one's, for readers that follow `_batch`; and one for the
    number 0 wherever rows are, as a partition without rows cannot take the place of another."""
    [[most]] = clickhouse.query(f"SELECT max(_row) FROM {raw_table.qualified(shape)} WHERE _copied = 1").result_rows
    names = ", ".join([*raw_table.APPEND_ONLY_COLUMNS, *raw_table.SERVICE_COLUMNS])
    service = f"0, toUInt128('{snapshot.version}'), 1, now64(6, 'UTC'), now64(6, 'UTC'), 0"
    beyond = max(int(most) - count, 0)
    with _exchanging(shape):
        clickhouse.command(
            f"INSERT INTO {staging} ({names}) SELECT 1, number + {count + 1}, {service} FROM numbers({beyond})"
        )
        cluster.change(clickhouse, f"INSERT INTO {staging} ({names}) SELECT 1, 0, {service}", staging)


@contextmanager
def _exchanging(shape: Shape) -> Iterator[None]:
    try:
        yield
    except (DatabaseError, OperationalError) as error:
        raise TransientError(
            f"{shape.topic}: its copy could not be exchanged, copy it again: {first_line(error)}"
        ) from error
