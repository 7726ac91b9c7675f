"""The keys of change messages, as the source reads them and as proofs spell them."""

from collections.abc import Iterable
from typing import Any

import orjson
import psycopg
from psycopg import sql

from cdc.catalog import Shape
from cdc.types import mapping


def populated(shape: Shape, keys: Iterable[str | bytes], alias: str = "k") -> sql.Composed:
    """FROM items that give each key as a row of the table's own type (``alias``) with its number from 1 (``e.n``)."""
    table = sql.Identifier(shape.schema, shape.table)
    readable = [_readable(shape, key) for key in keys]
    return sql.SQL(
        "jsonb_array_elements({keys}) WITH ORDINALITY AS e (key, n) "
        "CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, e.key) AS {alias}"
    ).format(keys=sql.Literal(orjson.dumps(readable).decode()), table=table, alias=sql.Identifier(alias))


def spelled(source: psycopg.Connection[Any], shape: Shape, keys: Iterable[str]) -> set[tuple[str, ...]]:
    """The keys in the spelling of `cdc.verify.checksum.Key`."""
    texts = [
        sql.SQL(mapping(column).digest_source("{}")).format(sql.Identifier(column.name)) for column in shape.key_columns
    ]
    statement = sql.SQL("SELECT ARRAY[{texts}] FROM {keys}").format(
        texts=sql.SQL(", ").join(texts), keys=populated(shape, keys)
    )
    return {tuple(row[0]) for row in source.execute(statement)}


def _readable(shape: Shape, key: str | bytes) -> dict[str, Any]:
    """The key's JSON as PostgreSQL reads it: bytes are spelled as bare hexadecimal digits in messages."""
    values: dict[str, Any] = orjson.loads(key)
    for column in shape.key_columns:
        if column.type == "bytea" and values.get(column.name) is not None:
            values[column.name] = "\\x" + values[column.name]
    return values
