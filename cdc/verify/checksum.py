"""Checksums over all columns of a table, per bucket of keys, computed in the same way on both sides.

A row's digest is the MD5 of its text (`cdc.verify.spelling`). A bucket's checksum is (rows, sum of the digests' first 64
bits): order does not matter, and a change of any cell changes it. Each side computes in its own SQL; only buckets travel,
and for buckets that differ the (key, digest) pairs.
"""

from typing import Any, NamedTuple

import psycopg
from clickhouse_connect.driver.client import Client
from psycopg import sql

from cdc.catalog import Shape
from cdc.sinks.clickhouse.raw_table import qualified
from cdc.verify import spelling
from cdc.verify.buckets import Buckets

_SETTINGS = {"max_query_size": 64 << 20}  # some thousand keys are named in one statement

Key = tuple[str, ...]


class Checksum(NamedTuple):
    """Rows of one bucket and the sum of their digests."""

    rows: int
    digests: int


class Digest(NamedTuple):
    """The digest of one row; ``native`` is its key as the source itself spells it, None for a row of the target."""

    text: str
    native: Key | None = None


def source_checksums(source: psycopg.Connection[Any], buckets: Buckets, rows: sql.Composable) -> dict[int, Checksum]:
    """Checksum of every bucket that holds some of the given rows (`cdc.verify.slices`)."""
    statement = sql.SQL(
        "SELECT {bucket}, count(*), sum(('x' || left(md5({row}), 16))::bit(64)::int8) FROM {rows} GROUP BY 1"
    ).format(bucket=buckets.source(), row=spelling.source_row(buckets.shape.columns), rows=rows)
    return {bucket: Checksum(count, int(digests)) for bucket, count, digests in source.execute(statement)}


def target_checksums(target: Client, buckets: Buckets, condition: str = "1") -> dict[int, Checksum]:
    """Checksum of every bucket of the raw table that holds live rows which meet the condition."""
    row = f"MD5({spelling.target_row(buckets.shape.columns)})"
    statement = (
        f"SELECT {buckets.target()}, count(), "
        f"sum(toInt128(reinterpretAsInt64(reverse(substring({row}, 1, 8))))) "
        f"FROM {qualified(buckets.shape)} FINAL WHERE {condition} GROUP BY 1"
    )
    rows = target.query(statement, settings=_SETTINGS).result_rows
    return {int(bucket): Checksum(int(count), int(digests)) for bucket, count, digests in rows}


def source_digests(source: psycopg.Connection[Any], shape: Shape, condition: sql.Composable) -> dict[Key, Digest]:
    """Digest of every source row that meets the condition."""
    columns = shape.key_columns
    statement = sql.SQL("SELECT ARRAY[{keys}], ARRAY[{natives}], md5({row}) FROM {table} WHERE {condition}").format(
        keys=sql.SQL(", ").join(spelling.source_text(column) for column in columns),
        natives=sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column.name)) for column in columns),
        row=spelling.source_row(shape.columns),
        table=shape.rows,
        condition=condition,
    )
    return {tuple(key): Digest(text, tuple(native)) for key, native, text in source.execute(statement)}


def target_digests(target: Client, shape: Shape, condition: str) -> dict[Key, Digest]:
    """Digest of every live raw row that meets the condition."""
    keys = ", ".join(spelling.target_text(column) for column in shape.key_columns)
    row = f"lower(hex(MD5({spelling.target_row(shape.columns)})))"
    statement = f"SELECT [{keys}], {row} FROM {qualified(shape)} FINAL WHERE {condition}"
    return {tuple(key): Digest(text) for key, text in target.query(statement, settings=_SETTINGS).result_rows}
