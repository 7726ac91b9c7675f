"""The judge: sorted dumps of a table and its copy by plain SQL, compared line by line. It shares nothing with `cdc.verify`."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client
from psycopg import sql

_SPELLINGS = {
    "numeric": ("{}::text", "toDecimalString({}, 2)"),
    "timestamptz": ("(extract(epoch FROM {}) * 1000000)::int8::text", "toString(toUnixTimestamp64Micro({}))"),
}
_PLAIN = ("{}::text", "toString({})")


@dataclass(frozen=True)
class Judgement:
    """Rows of one table that the copy lacks, has twice, or has otherwise (also: that the source does not have)."""

    table: str
    rows: int
    lost: int
    doubled: int
    different: int
    examples: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.different)


def judge(source: psycopg.Connection[Any], target: Client, database: str, table: str, key: list[str]) -> Judgement:
    """Compare a table with its copy; both must stand still."""
    columns = source.execute(
        "SELECT attname::text, typname::text FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname = ANY(%s) DESC, attnum",
        [table, key],
    ).fetchall()
    ours, theirs = _source(source, table, columns, key), _target(target, database, table, columns, key)
    rows = lost = doubled = different = 0
    examples: list[str] = []
    there = _grouped(theirs, len(key))
    other = next(there, None)
    for row in ours:
        rows += 1
        while other is not None and other[0] < row[: len(key)]:
            different += 1  # the copy has a row that the source does not have
            examples.append(f"extra {other[0]}")
            other = next(there, None)
        if other is None or other[0] > row[: len(key)]:
            lost += 1
            examples.append(f"lost {row[: len(key)]}")
            continue
        doubled += len(other[1]) > 1
        if row not in other[1]:
            different += 1
            examples.append(f"is {row}, copy has {other[1][0]}")
        other = next(there, None)
    while other is not None:
        different += 1
        examples.append(f"extra {other[0]}")
        other = next(there, None)
    return Judgement(table, rows, lost, doubled, different, tuple(examples[:10]))


def _grouped(rows: Iterator[tuple[str, ...]], width: int) -> Iterator[tuple[tuple[str, ...], list[tuple[str, ...]]]]:
    for key, group in groupby(rows, lambda row: row[:width]):
        yield key, list(group)


def _source(
    source: psycopg.Connection[Any], table: str, columns: list[tuple[str, str]], key: list[str]
) -> Iterator[tuple[str, ...]]:
    texts = [
        sql.SQL("coalesce({}, {})").format(
            sql.SQL(_SPELLINGS.get(kind, _PLAIN)[0]).format(sql.Identifier(name)), sql.Literal("\\0null")
        )
        for name, kind in columns
    ]
    order = sql.SQL(", ").join(sql.SQL('{}::text COLLATE "C"').format(sql.Identifier(name)) for name in key)
    statement = sql.SQL("SELECT {} FROM {} ORDER BY {}").format(sql.SQL(", ").join(texts), sql.Identifier(table), order)
    with source.transaction(), source.cursor("dump") as cursor:
        cursor.itersize = 10_000
        cursor.execute(statement)
        for row in cursor:
            yield tuple(row)


def _target(
    target: Client, database: str, table: str, columns: list[tuple[str, str]], key: list[str]
) -> Iterator[tuple[str, ...]]:
    texts = [f"ifNull({_SPELLINGS.get(kind, _PLAIN)[1].format(name)}, '\\\\0null')" for name, kind in columns]
    order = ", ".join(f"toString({name})" for name in key)
    statement = f"SELECT {', '.join(texts)} FROM {database}.{table} FINAL ORDER BY {order}"
    with target.query_row_block_stream(statement) as blocks:
        for block in blocks:
            yield from (tuple(row) for row in block)
