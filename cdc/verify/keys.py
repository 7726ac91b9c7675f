"""Conditions that pick rows by their keys, on both sides.

A key is known by its texts for proof. Where every key column's text is also what both servers read as a value of its
type, the condition uses the key's index; else the texts themselves are compared, which reads all keys.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice

from psycopg import sql

from cdc.catalog import Column, Shape
from cdc.clickhouse import quote
from cdc.verify import spelling
from cdc.verify.checksum import Digest, Key

AT_ONCE = 5000
"""How many keys one condition should name at most."""
_LITERALS_AT_ONCE = 500  # as an OR over every key's columns; planning grows with it

_READ_BACK = {"int2": "int2", "int4": "int4", "int8": "int8", "uuid": "uuid", "text": "text", "varchar": "text"}


def source_condition(shape: Shape, keys: Collection[Key]) -> sql.Composable:
    """Rows with these keys, in the source's SQL."""
    columns = shape.key_columns
    indexed = _indexed(shape)
    texts = [list(texts) for texts in zip(*keys, strict=True)]
    return sql.SQL("({left}) IN (SELECT {right} FROM unnest({arrays}) AS u ({names}))").format(
        left=sql.SQL(", ").join(sql.Identifier(c.name) if indexed else spelling.source_text(c) for c in columns),
        right=sql.SQL(", ").join(
            sql.SQL("{}::{}").format(_k(n), sql.SQL(_READ_BACK[c.type] if indexed else "text"))
            for n, c in enumerate(columns)
        ),
        arrays=sql.SQL(", ").join(sql.SQL("{}::text[]").format(sql.Literal(each)) for each in texts),
        names=sql.SQL(", ").join(_k(n) for n in range(len(columns))),
    )


def target_condition(shape: Shape, keys: Collection[Key]) -> str:
    """Rows with these keys in ClickHouse's SQL."""
    columns = shape.key_columns
    indexed = _indexed(shape)
    left = ", ".join(quote(c.name) if indexed else spelling.target_text(c) for c in columns)
    right = ", ".join(
        "(" + ", ".join(_value(c, text, indexed) for c, text in zip(columns, key, strict=True)) + ")" for key in keys
    )
    return f"({left}) IN ({right})"


def present_conditions(shape: Shape, rows: Mapping[Key, Digest]) -> Iterator[sql.Composable]:
    """Rows that were read from the source, in its SQL: always through the key's index, some at a time."""
    if _indexed(shape):
        for keys in batches(rows, AT_ONCE):
            yield source_condition(shape, keys)
        return
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in shape.key)
    for natives in batches((row.native for row in rows.values() if row.native is not None), _LITERALS_AT_ONCE):
        # An untyped literal takes the type of the column that it is compared with.
        values = (sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, native))) for native in natives)
        yield sql.SQL("({}) IN ({})").format(columns, sql.SQL(", ").join(values))


def batches(keys: Iterable[Key], size: int = AT_ONCE) -> Iterator[list[Key]]:
    """The keys, some at a time."""
    rest = iter(keys)
    while lot := list(islice(rest, size)):
        yield lot


def _indexed(shape: Shape) -> bool:
    return all(column.type in _READ_BACK and column.stored_as is None for column in shape.key_columns)


def _value(column: Column, text: str, indexed: bool) -> str:
    if indexed and column.type.startswith("int"):
        return str(int(text))
    literal = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return f"toUUID({literal})" if indexed and column.type == "uuid" else literal


def _k(number: int) -> sql.Identifier:
    return sql.Identifier(f"k{number}")
