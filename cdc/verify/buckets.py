"""How the keys of a table are dealt into buckets, in the same way on both sides.

Where the key begins with an integer, a bucket is a range of it, so that what is looked at again is read through the key's
index on both sides. For every other key a bucket comes from a hash of the key's text: ranges cannot serve there, because
ClickHouse orders UUIDs by their second half first and text by bytes, PostgreSQL text by its collation, and the same keys
would fall into different ranges; looking again then costs a reading of the keys alone.
"""

from dataclasses import dataclass
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client
from psycopg import sql

from cdc import source_database
from cdc.catalog import Column, Shape
from cdc.clickhouse import quote
from cdc.sinks.clickhouse.raw_table import qualified
from cdc.verify import spelling

ROWS_EACH = 64  # few, so that under load the buckets that changed meanwhile hold few other rows
LEAST, MOST = 256, 1 << 18
_INTEGERS = {"int2", "int4", "int8"}
_MOST_RANGES = 500


@dataclass(frozen=True)
class Buckets:
    """``shift``: a bucket is the first key column without its last so many bits. None: a hash modulo ``count``."""

    shape: Shape
    count: int
    shift: int | None

    def source(self) -> sql.Composable:
        """The number of a row's bucket, in the source's SQL."""
        if self.shift is not None:
            return sql.SQL("({}::int8 >> {})").format(sql.Identifier(self.shape.key[0]), sql.Literal(self.shift))
        key = sql.SQL("md5({})").format(spelling.source_row(self._hashed))
        return sql.SQL("mod(('x' || substr({}, 1, 8))::bit(32)::int8, {})").format(key, sql.Literal(self.count))

    def target(self) -> str:
        """The same number in ClickHouse's SQL."""
        if self.shift is not None:
            return f"bitShiftRight(toInt64({quote(self.shape.key[0])}), {self.shift})"
        key = f"MD5({spelling.target_row(self._hashed)})"
        return f"toInt64(reinterpretAsUInt32(reverse(substring({key}, 1, 4))) % {self.count})"

    @property
    def _hashed(self) -> tuple[Column, ...]:
        return self.shape.columns if self.shape.append_only else self.shape.key_columns

    def source_condition(self, numbers: list[int]) -> sql.Composable:
        """Rows of these buckets, in the source's SQL; through the key's index where buckets are ranges."""
        ranges = self._ranges(numbers)
        if ranges is None:
            return sql.SQL("{} = ANY({})").format(self.source(), sql.Literal(numbers))
        column = sql.Identifier(self.shape.key[0])
        return sql.SQL("({})").format(
            sql.SQL(" OR ").join(
                sql.SQL("{} BETWEEN {} AND {}").format(column, sql.Literal(low), sql.Literal(high))
                for low, high in ranges
            )
        )

    def target_condition(self, numbers: list[int]) -> str:
        """Rows of these buckets in ClickHouse's SQL."""
        ranges = self._ranges(numbers)
        if ranges is None:
            return f"{self.target()} IN ({', '.join(map(str, numbers))})"
        column = quote(self.shape.key[0])
        return "(" + " OR ".join(f"{column} BETWEEN {low} AND {high}" for low, high in ranges) + ")"

    def _ranges(self, numbers: list[int]) -> list[tuple[int, int]] | None:
        """The buckets as ranges of the column, neighbours joined; None for a hash, or where one scan is cheaper."""
        if self.shift is None:
            return None
        ranges: list[tuple[int, int]] = []
        for number in sorted(numbers):
            low, high = number << self.shift, ((number + 1) << self.shift) - 1
            if ranges and ranges[-1][1] == low - 1:
                ranges[-1] = ranges[-1][0], high
            else:
                ranges.append((low, high))
        return ranges if len(ranges) <= _MOST_RANGES else None


def by_hash(shape: Shape, rows: int) -> Buckets:
    """Buckets for any key, of about `ROWS_EACH` rows."""
    return Buckets(shape, _count(rows), None)


def choose(source: psycopg.Connection[Any], target: Client, shape: Shape) -> Buckets:
    """Ranges where the key begins with an integer, else a hash; as many as the size of the copy asks for."""
    [[rows]] = target.query(f"SELECT count() FROM {qualified(shape)}").result_rows
    rows = max(int(rows), source_database.estimated_rows(source, shape.schema, shape.table))
    first = shape.key_columns[0]
    if first.type not in _INTEGERS or first.stored_as is not None:
        return by_hash(shape, rows)
    bounds = sql.SQL("SELECT min({column}), max({column}) FROM {table}").format(
        column=sql.Identifier(first.name), table=shape.rows
    )
    ours = source.execute(bounds).fetchone()
    column = quote(first.name)
    theirs = target.query(f"SELECT min({column}), max({column}) FROM {qualified(shape)}").result_rows[0]
    known = [int(bound) for bound in (*(ours or ()), *(theirs if rows else ())) if bound is not None]
    width = (max(known) - min(known)) // _count(rows) if known else 0
    return Buckets(shape, _count(rows), width.bit_length())


def _count(rows: int) -> int:
    return min(max(LEAST, 1 << (rows // ROWS_EACH).bit_length()), MOST)
