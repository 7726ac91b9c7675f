"""Updates that leave out an unchanged large value (TOAST) are read again, whole, from the source.

Without REPLICA IDENTITY FULL the log holds a placeholder in such a column's place. The row is read by its key once the update's
transaction is visible, and written under the update's own version: it holds what the update left, or something newer that a
later event brings under a higher version. A row that is gone by then has a delete on its way; nothing is written for it.
Filling the value from the copy instead would mix rows that never were, and would be wrong across a key change or above a
parked change.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
import psycopg
from psycopg import sql

from cdc import source_database
from cdc.catalog import Shape
from cdc.errors import TransientError
from cdc.message_keys import populated
from cdc.sinks.clickhouse.changes import InsertKey, Row
from cdc.types import in_source, mapping

_PATIENCE = 60.0
_POLL = 0.005


class ReadRow(NamedTuple):
    """A row as it is now: its change, that change's version, and the line for `raw_table.read_insert`."""

    row: Row
    version: int
    line: bytes


def read_again(source: psycopg.Connection[Any], shape: Shape, key: InsertKey, rows: Sequence[Row]) -> list[ReadRow]:
    """The rows' present state in the source; of several changes of one key the last only, and none where the row is gone.

    Raises:
        TransientError: the changes' transactions did not become visible, or the source went away.
    """
    last = {row.key: row for row in rows}
    envelopes = {row.key: orjson.loads(row.value) for row in last.values()}
    _wait_until_visible(source, {int(e["source"]["txId"] or 0) for e in envelopes.values()})
    ordered = list(last.values())
    found = []
    with source.cursor() as cursor, cursor.copy(_statement(shape, [row.key for row in ordered])) as lines:
        for line in b"".join(bytes(block) for block in lines).splitlines(keepends=False):
            number, values = line.split(b"\t", 1)
            row = ordered[int(number) - 1]
            envelope = envelopes[row.key]
            version = key.version(envelope)
            at = int(envelope["source"]["ts_us"])
            found.append(ReadRow(row, version, b"%d\t%d\t%s" % (version, at, values)))
    return found


def _wait_until_visible(source: psycopg.Connection[Any], transactions: set[int]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not (row := source.execute(source_database.VISIBLE, [list(transactions)]).fetchone()) or not row[0]:
        if time.monotonic() > deadline:
            raise TransientError(
                f"committed transactions are not visible in the source after {_PATIENCE:g} s; is a synchronous replica down?"
            )
        time.sleep(_POLL)  # polls a server-side condition that has no notification


def _statement(shape: Shape, keys: list[bytes]) -> sql.Composed:
    """COPY of (number of the key, columns) of the rows with these keys; the table's own row type reads the keys' JSON."""
    return sql.SQL(
        'COPY (SELECT "_millrace_n", {values} FROM (SELECT e."_millrace_n", t.* '
        "FROM {keys} JOIN {table} AS t ON {same}) AS r"
        ") TO STDOUT (FORMAT text)"
    ).format(
        values=sql.SQL(", ").join(in_source(mapping(column).copy, column) for column in shape.columns),
        keys=populated(shape, keys),
        table=shape.rows,
        same=sql.SQL(" AND ").join(sql.SQL("t.{0} = k.{0}").format(sql.Identifier(name)) for name in shape.key),
    )
