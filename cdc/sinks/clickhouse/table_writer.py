"""Writes changes of captured tables into their raw tables, and parks the changes that ClickHouse refuses.

Used by the sink's flushes and by the replay of dead letters; both give rows and get back what was refused.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import source_database
from cdc import state as engine_state
from cdc.catalog import Shape, altered
from cdc.dead_letters import Refusal
from cdc.errors import DataError, TransientError
from cdc.floors import Dead
from cdc.sinks.clickhouse import history, raw_table
from cdc.sinks.clickhouse.absent import ReadRow, read_again
from cdc.sinks.clickhouse.changes import InsertKey, Row, Rows, place_in_log
from cdc.sinks.clickhouse.salvage import salvage
from cdc.sinks.clickhouse.writer import RefusedRows, Waiting, send

log = logging.getLogger("millrace.clickhouse-sink")

TARGET = "clickhouse"
_AT_ONCE = 3  # where rows are refused many small inserts are made, which are mostly waiting for an answer


_NO_SUCH_COLUMN = 16

Answer = TypeVar("Answer")


class ShapeMoved(DataError):
    """A table is not as its recorded shape says: the shape has to be followed before anything is written."""

    def __init__(self, shape: Shape, reason: str = "it was altered since its shape was recorded") -> None:
        super().__init__(f"{shape.topic}: {reason}")
        self.shape = shape


class UnknownColumn(ShapeMoved):
    """A change holds a column that its table's recorded shape does not."""

    def __init__(self, shape: Shape, reason: str) -> None:
        super().__init__(shape, f"a change holds a column that the copy does not have: {reason}")


class TableWriter:
    """Writes into one ClickHouse; for several threads at once. ``leave_out_unknown``: drop columns without a place."""

    def __init__(self, clickhouse: Client, state_dsn: str, waiting: Waiting) -> None:
        self._clickhouse = clickhouse
        self._state_dsn = state_dsn
        self._waiting = waiting
        self.leave_out_unknown = False
        self._sources: dict[str, psycopg.Connection[Any]] = {}
        self._reading = threading.Lock()

    def close(self) -> None:
        """End the sessions on sources."""
        for connection in self._sources.values():
            connection.close()

    def write(self, shape: Shape, key: InsertKey, rows: Sequence[Row], batch: int, dead: Dead) -> list[Refusal]:
        """Insert the rows as they came; returns those that ClickHouse refuses, for the caller to park.

        What is below the floor is dead, and may be of another shape: it is looked for only when something is refused.

        Raises:
            TransientError: the wait for ClickHouse was ended by a stop.
            ShapeMoved: a row, or the copy, has other columns than the shape.
        """
        unknown = {"input_format_json_ignore_unknown_keys_in_named_tuple": int(self.leave_out_unknown)}
        settings = raw_table.STREAM_SETTINGS | unknown | ({"max_query_size": 16 << 20} if dead.erased else {})
        statement = raw_table.stream_insert(shape, key.epoch, batch, moved=key.moved, dead=dead)
        into_log = None
        if shape.history:  # it also takes what was overtaken by the TRUNCATE that ended it
            dead_there = replace(dead, floor=shape.since)
            also = raw_table.stream_insert(shape, key.epoch, batch, moved=key.moved, dead=dead_there)
            into_log = history.statement_into_log(shape, also)

        def insert(some: Sequence[Row]) -> None:
            body = b"\n".join(row.value for row in some)
            send(self._clickhouse, shape, statement, body, settings, waiting=self._waiting, log_statement=into_log)

        refused: list[tuple[Row, RefusedRows]] = []
        try:
            if isinstance(rows, Rows):  # of a batch, and with this key, there is one such body only
                body = rows.body()
                send(
                    self._clickhouse,
                    shape,
                    statement,
                    body,
                    settings,
                    waiting=self._waiting,
                    unique_statement=True,
                    log_statement=into_log,
                )
            else:
                insert(rows)
        except RefusedRows as error:
            alive = [row for row in rows if row.version(key) >= dead.floor] if dead.floor else rows
            if len(alive) < len(rows):
                return self.write(shape, key, alive, batch, dead) if alive else []
            if error.unknown_column:
                raise UnknownColumn(shape, error.reason) from error
            if error.code == _NO_SUCH_COLUMN:
                raise ShapeMoved(shape, error.reason) from error
            salvage(rows, insert, lambda row, reason: refused.append((row, reason)), at_once=_AT_ONCE)
        return [_refusal(shape, key, row, row.version(key), why) for row, why in refused]

    def write_again(self, shape: Shape, key: InsertKey, rows: Sequence[Row], batch: int, dead: Dead) -> list[Refusal]:
        """Read the rows from the source and insert them; for changes that leave out unchanged values.

        Raises:
            TransientError: the source is away; nothing was written.
        """
        if shape.append_only:  # an INSERT leaves nothing out: the text only looks like it
            return self.write(shape, key, list(rows), batch, dead)
        statement = raw_table.read_insert(shape, batch)

        def insert(some: Sequence[ReadRow]) -> None:
            body = b"\n".join(row.line for row in some)
            send(self._clickhouse, shape, statement, body, raw_table.COPY_SETTINGS, waiting=self._waiting)

        refused: list[tuple[ReadRow, RefusedRows]] = []
        above = [row for row in rows if row.version(key) >= dead.floor] if dead.floor else rows
        if above and (alive := [row for row in self._read(shape, key, above) if row.version >= dead.floor]):
            salvage(alive, insert, lambda row, reason: refused.append((row, reason)), at_once=_AT_ONCE)
        return [_refusal(shape, key, read.row, read.version, why) for read, why in refused]

    def sweep(self, shape: Shape, below: int, batch: int) -> None:
        """End every row below a version, with tombstones of that version."""
        statement = raw_table.sweep_insert(shape, below, batch)
        into_log = history.end_statement(shape, below, batch)
        send(self._clickhouse, shape, statement, b"", {}, waiting=self._waiting, log_statement=into_log, log_first=True)

    def refuse_altered(self, shapes: Iterable[Shape]) -> None:
        """Return when the source has these tables as their shapes say, so that nothing that was consumed before is of another one.

        A source that is away is not waited for: whatever was altered there is found, and mended, when it is back.

        Raises:
            ShapeMoved: one of them was altered.
        """
        by_source: dict[str, list[Shape]] = {}
        for shape in shapes:
            by_source.setdefault(shape.source, []).append(shape)
        with self._reading:
            for name, some in by_source.items():
                try:
                    moved = self._asked(name, partial(altered, shapes=some))
                except (TransientError, psycopg.OperationalError) as error:
                    log.warning(
                        "source %s cannot be asked whether its tables were altered: %s",
                        name,
                        " ".join(str(error).split()),
                    )
                    continue
                if moved:
                    raise ShapeMoved(moved[0])

    def _read(self, shape: Shape, key: InsertKey, rows: Sequence[Row]) -> list[ReadRow]:
        with self._reading:
            try:
                return self._asked(shape.source, lambda source: read_again(source, shape, key, rows))
            except psycopg.OperationalError as error:
                raise TransientError(
                    f"source {shape.source} went away while a row was read again: {' '.join(str(error).split())}"
                ) from error
            except psycopg.errors.UndefinedTable:
                return []  # a table that is gone has no rows, nor will more come of it
            except psycopg.ProgrammingError as error:  # a column is called otherwise now
                raise UnknownColumn(shape, " ".join(str(error).split())) from error

    def _asked(self, name: str, question: Callable[[psycopg.Connection[Any]], Answer]) -> Answer:
        """What a source answers; on a new session where the one that was kept has ended, which says nothing of the source."""
        while True:
            kept = name in self._sources
            try:
                return question(self._source(name))
            except psycopg.OperationalError:
                if connection := self._sources.pop(name, None):
                    connection.close()
                if not kept:
                    raise

    def _source(self, name: str) -> psycopg.Connection[Any]:
        if name not in self._sources:
            with engine_state.connect(self._state_dsn) as state:
                file = next(file for file, _ in engine_state.applied_sources(state) if file.source == name)
            self._sources[name] = source_database.connect(file)
        return self._sources[name]


def _refusal(shape: Shape, key: InsertKey, row: Row, version: int, why: RefusedRows) -> Refusal:
    return Refusal(
        target=TARGET,
        source=shape.source,
        name=shape.qualified,
        key=(place_in_log(row.value) if shape.append_only else row.key).decode(),
        version=version,
        moved=key.moved,
        body=row.value.decode(),
        reason=why.reason,
        place=f"{key.topic}/{row.partition}@{row.offset}",
    )
