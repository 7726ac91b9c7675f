"""The keys of change messages, as the source reads them and as proofs spell them."""

from collections.abc import Collection, Iterable
from typing import Any

import orjson
import psycopg
from psycopg import sql

from cdc.catalog import Shape
from cdc.types import in_source, mapping


def populated(shape: Shape, keys: Iterable[str | bytes], alias: str = "k") -> sql.Composed:
    """FROM items that give each key as a row of the table's own type (``alias``) with its number from 1 (``e."_millrace_n"``)."""
    table = sql.Identifier(shape.schema, shape.table)
    readable = [_readable(shape, key) for key in keys]
    return sql.SQL(
        'jsonb_array_elements({keys}) WITH ORDINALITY AS e ("_millrace_key", "_millrace_n") '
        'CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, e."_millrace_key") AS {alias}'
    ).format(keys=sql.Literal(orjson.dumps(readable).decode()), table=table, alias=sql.Identifier(alias))


def spelled(source: psycopg.Connection[Any], shape: Shape, keys: Collection[str]) -> dict[tuple[str, ...], str]:
    """The keys by their spelling as `cdc.verify.checksum.Key`."""
    texts = [in_source(mapping(column).digest_source, column) for column in shape.key_columns]
    statement = sql.SQL('SELECT ARRAY[{texts}] FROM {keys} ORDER BY e."_millrace_n"').format(
        texts=sql.SQL(", ").join(texts), keys=populated(shape, keys)
    )
    rows = source.execute(statement).fetchall()
    return {tuple(row[0]): key for row, key in zip(rows, keys, strict=True)}


def _readable(shape: Shape, key: str | bytes) -> dict[str, Any]:
    """The key's JSON as PostgreSQL reads it: messages hold bytes as bare hexadecimal digits, arrays and hstore as JSON."""
    values: dict[str, Any] = orjson.loads(key)
    for column in shape.key_columns:
        value = values.get(column.name)
        if value is None:
            continue
        if column.type == "bytea":
            values[column.name] = "\\x" + value
        elif column.element is not None:
            values[column.name] = orjson.loads(value)
        elif column.type == "hstore":
            values[column.name] = ",".join(map(_pair, orjson.loads(value).items()))
    return values


def _pair(item: tuple[str, str | None]) -> str:
    name, value = ("NULL" if text is None else _quoted(text) for text in item)
    return f"{name}=>{value}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
