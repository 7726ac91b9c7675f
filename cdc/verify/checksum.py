"""Checksums over all columns of a table, per bucket of keys, computed in the same way on both sides.

A row's digest is the MD5 of its columns' texts, each with its length (so no value can pass for two) or a mark for NULL;
its bucket comes from the MD5 of its key's texts. A bucket's checksum is (rows, sum of the digests' first 32 bits, sum of
the next 32): order does not matter, and a change of any cell changes it. Each side computes in its own SQL; only buckets
travel, and for buckets that differ the (key, digest) pairs.
"""

from typing import Any, NamedTuple

import psycopg
from clickhouse_connect.driver.client import Client
from psycopg import sql

from cdc.catalog import Column, Shape
from cdc.clickhouse import quote
from cdc.sinks.clickhouse.raw_table import qualified
from cdc.types import mapping

BUCKETS = 1024
# Else a column that is called as one of our own results (`key`) would be replaced by that result.
_TARGET_SETTINGS = {"prefer_column_name_to_alias": 1}

Key = tuple[str, ...]


class Checksum(NamedTuple):
    """Rows of one bucket and the sums of both halves of their digests."""

    rows: int
    high: int
    low: int


class Digest(NamedTuple):
    """The digest of one row, and the bucket that its key lies in."""

    bucket: int
    text: str


def source_checksums(source: psycopg.Connection[Any], shape: Shape) -> dict[int, Checksum]:
    """Checksum of every bucket of the source table that holds rows."""
    statement = sql.SQL("SELECT bucket, count(*), sum({high}), sum({low}) FROM ({rows}) AS r GROUP BY bucket").format(
        high=_source_number("digest", 1), low=_source_number("digest", 9), rows=_source_rows(shape)
    )
    return {bucket: Checksum(rows, int(high), int(low)) for bucket, rows, high, low in source.execute(statement)}


def target_checksums(target: Client, shape: Shape) -> dict[int, Checksum]:
    """Checksum of every bucket of the raw table that holds live rows."""
    statement = (
        f"SELECT bucket, count(), sum({_target_number('digest', 1)}), sum({_target_number('digest', 9)}) "
        f"FROM ({_target_rows(shape)}) GROUP BY bucket"
    )
    rows = target.query(statement, settings=_TARGET_SETTINGS).result_rows
    return {int(bucket): Checksum(int(count), int(high), int(low)) for bucket, count, high, low in rows}


def source_digests(source: psycopg.Connection[Any], shape: Shape, buckets: list[int]) -> dict[Key, Digest]:
    """Digest of every source row whose key lies in one of the buckets."""
    statement = sql.SQL("SELECT key, bucket, digest FROM ({rows}) AS r WHERE bucket = ANY(%s)").format(
        rows=_source_rows(shape)
    )
    return {tuple(key): Digest(bucket, text) for key, bucket, text in source.execute(statement, [buckets])}


def target_digests(target: Client, shape: Shape, buckets: list[int]) -> dict[Key, Digest]:
    """Digest of every live raw row whose key lies in one of the buckets."""
    chosen = ", ".join(map(str, buckets))
    statement = f"SELECT key, bucket, digest FROM ({_target_rows(shape)}) WHERE bucket IN ({chosen})"
    return {
        tuple(key): Digest(int(bucket), text)
        for key, bucket, text in target.query(statement, settings=_TARGET_SETTINGS).result_rows
    }


def _source_rows(shape: Shape) -> sql.Composed:
    keys = [_source_text(column) for column in shape.key_columns]
    row = sql.SQL(" || ").join(_source_field(column) for column in shape.columns)
    key = sql.SQL(" || ").join(_source_field(column) for column in shape.key_columns)
    return sql.SQL(
        "SELECT ARRAY[{keys}] AS key, md5({row}) AS digest, mod({number}, {buckets}) AS bucket FROM {table}"
    ).format(
        keys=sql.SQL(", ").join(keys),
        row=row,
        number=_source_number(sql.SQL("md5({})").format(key), 1),
        buckets=sql.Literal(BUCKETS),
        table=sql.Identifier(shape.schema, shape.table),
    )


def _source_number(digest: sql.Composable | str, start: int) -> sql.Composed:
    text = sql.Identifier(digest) if isinstance(digest, str) else digest
    return sql.SQL("('x' || substr({}, {}, 8))::bit(32)::int8").format(text, sql.Literal(start))


def _source_text(column: Column) -> sql.Composable:
    return sql.SQL(mapping(column).digest_source("{}")).format(sql.Identifier(column.name))


def _source_field(column: Column) -> sql.Composed:
    text = _source_text(column)
    return sql.SQL("coalesce(octet_length({text}) || ':' || ({text}), '-')").format(text=text)


def _target_rows(shape: Shape) -> str:
    keys = ", ".join(_target_text(column) for column in shape.key_columns)
    row = ", ".join(_target_field(column) for column in shape.columns)
    key = ", ".join(_target_field(column) for column in shape.key_columns)
    number = _target_number(f"lower(hex(MD5(concat({key}, ''))))", 1)
    return (
        f"SELECT [{keys}] AS key, lower(hex(MD5(concat({row}, '')))) AS digest, {number} % {BUCKETS} AS bucket "
        f"FROM {qualified(shape)} FINAL"
    )


def _target_number(digest: str, start: int) -> str:
    return f"reinterpretAsUInt32(reverse(unhex(substring({digest}, {start}, 8))))"


def _target_text(column: Column) -> str:
    name = quote(column.name)
    return mapping(column).digest_target(f"assumeNotNull({name})" if column.nullable else name)


def _target_field(column: Column) -> str:
    text = _target_text(column)
    field = f"concat(toString(length({text})), ':', {text})"
    return f"if(isNull({quote(column.name)}), '-', {field})" if column.nullable else field
