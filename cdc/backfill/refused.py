"""Rows that ClickHouse refuses while a table is copied: parked like changes of the stream, under the copy's stamp.

What is parked is not the row but the wish to read it again: a replay takes it from the source as it is then.
"""

import re
import time
from collections.abc import Callable
from typing import Any

import orjson
import psycopg

from cdc import dead_letters
from cdc.catalog import Column, Shape
from cdc.connect.connector import PLACEHOLDER
from cdc.dead_letters import Refusal
from cdc.sinks.clickhouse.changes import place_in_log
from cdc.sinks.clickhouse.salvage import salvage
from cdc.sinks.clickhouse.writer import RefusedRows
from cdc.version import Version

_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_ESCAPED = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_NUMBERS = {"int2", "int4", "int8"}


def write_lines(body: bytes, write: Callable[[bytes], None]) -> list[tuple[bytes, RefusedRows]]:
    """Write lines of COPY's text format by ``write``; those that ClickHouse refuses, each with the reason, for the caller to park."""
    refused: list[tuple[bytes, RefusedRows]] = []
    try:
        write(body)
    except RefusedRows:
        lines = body.rstrip(b"\n").split(b"\n")
        salvage(lines, lambda some: write(b"\n".join(some)), lambda line, error: refused.append((line, error)))
    return refused


def park(state: psycopg.Connection[Any], shape: Shape, stamp: int, refused: list[tuple[bytes, RefusedRows]]) -> None:
    """Park lines of COPY's text format, each with the reason; durable on return."""
    body = _to_be_read_again(stamp)
    dead_letters.park(
        state,
        [_refusal(shape, orjson.dumps(key_of(shape, line)).decode(), stamp, body, error) for line, error in refused],
    )


def park_numbered(
    state: psycopg.Connection[Any], shape: Shape, stamp: int, refused: list[tuple[bytes, RefusedRows]]
) -> None:
    """Park lines of an append-only table, each behind its number in the copy. Without a key such a row cannot be read again by
    itself, so a replay is refused too; the next copy of the table resolves them."""
    letters = []
    for line, error in refused:
        number = int(line.split(b"\t", 1)[0])
        body = _to_be_read_again(stamp, number)
        letters.append(_refusal(shape, place_in_log(body.encode()).decode(), stamp, body, error))
    dead_letters.park(state, letters)


def key_of(shape: Shape, line: bytes) -> dict[str, Any]:
    """The key of a line in COPY's text format, spelled as in the messages of the stream."""
    values = dict(zip((column.name for column in shape.columns), line.split(b"\t"), strict=True))
    return {column.name: _value(column, values[column.name]) for column in shape.key_columns}


def _value(column: Column, text: bytes) -> Any:
    plain = _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), text).decode()
    if column.type in _NUMBERS:
        return int(plain)
    return plain == "t" if column.type == "bool" else plain


def _refusal(shape: Shape, key: str, stamp: int, body: str, error: RefusedRows) -> Refusal:
    return Refusal(
        target="clickhouse",
        source=shape.source,
        name=shape.qualified,
        key=key,
        version=stamp,
        moved=False,
        body=body,
        reason=error.reason,
        place="backfill",
    )


def _to_be_read_again(stamp: int, *number: int) -> str:
    """A message that leaves out everything: the path of absent values reads the row from the source."""
    version = Version.unpack(stamp)
    source = {
        "sequence": orjson.dumps([str(each) for each in (version.commit, version.lsn, *number)]).decode(),
        "lsn": version.lsn,
        "txId": 0,
        "ts_us": int(time.time() * 1_000_000),
    }
    return orjson.dumps({"op": "r", "source": source, "after": PLACEHOLDER}).decode()
