"""Key ranges of a table: where to cut, and the SQL that reads one range.

Cuts are taken along the primary key by the source's own order, so any key type and composite keys work; each bound is
kept as the text of its columns. Ranges are open below and closed above, and the last one is open above.
"""

from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from cdc.catalog import Shape
from cdc.types import mapping


class Range(NamedTuple):
    """Keys above ``lower`` (None: from the first) up to and including ``upper`` (None: to the last)."""

    lower: tuple[str, ...] | None
    upper: tuple[str, ...] | None


def cut(source: psycopg.Connection[Any], shape: Shape, rows: int) -> list[Range]:
    """Ranges of about ``rows`` rows that together hold every key, present and future."""
    key = sql.SQL(", ").join(sql.Identifier(name) for name in shape.key)
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in shape.key)
    statement = sql.SQL(
        "SELECT {texts} FROM (SELECT {key}, row_number() OVER (ORDER BY {key}) AS n FROM {table}) AS k WHERE n %% %s = 0 ORDER BY n"
    ).format(texts=texts, key=key, table=_table(shape))
    bounds = [tuple(row) for row in source.execute(statement, [rows]).fetchall()]
    lowers: list[tuple[str, ...] | None] = [None, *bounds]
    uppers: list[tuple[str, ...] | None] = [*bounds, None]
    return [Range(lower, upper) for lower, upper in zip(lowers, uppers, strict=True)]


def copy_statement(shape: Shape, keys: Range) -> sql.Composed:
    """COPY of one range to text, each column spelled as its type's mapping says."""
    values = [sql.SQL(mapping(column).copy("{}")).format(sql.Identifier(column.name)) for column in shape.columns]
    return sql.SQL("COPY (SELECT {values} FROM {table} WHERE {condition}) TO STDOUT (FORMAT text)").format(
        values=sql.SQL(", ").join(values), table=_table(shape), condition=condition(shape, keys)
    )


def condition(shape: Shape, keys: Range) -> sql.Composable:
    """The WHERE clause of a range, as row comparisons that the key's index serves."""
    parts: list[sql.Composable] = []
    if keys.lower is not None:
        parts.append(sql.SQL("{} > {}").format(_row(shape), _bound(keys.lower)))
    if keys.upper is not None:
        parts.append(sql.SQL("{} <= {}").format(_row(shape), _bound(keys.upper)))
    return sql.SQL(" AND ").join(parts) if parts else sql.SQL("true")


def _row(shape: Shape) -> sql.Composed:
    return sql.SQL("({})").format(sql.SQL(", ").join(sql.Identifier(name) for name in shape.key))


def _bound(values: tuple[str, ...]) -> sql.Composed:
    # An untyped literal takes the type of the column that it is compared with.
    return sql.SQL("({})").format(sql.SQL(", ").join(sql.SQL("{}").format(sql.Literal(value)) for value in values))


def _table(shape: Shape) -> sql.Identifier:
    return sql.Identifier(shape.schema, shape.table)
