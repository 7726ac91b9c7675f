"""One mapping per column: how its values are written in ClickHouse by either path, and how they are proven equal.

docs/types.md is the table of it, with what is not exact and why.
"""

from psycopg import sql

from cdc.catalog import Column
from cdc.masking import Mask
from cdc.types.arrays import json_array, typed_array
from cdc.types.declared import declared
from cdc.types.mapping import Sql, TypeMapping
from cdc.types.masked import masked
from cdc.types.scalars import ANYTHING, SCALARS, numeric
from cdc.types.times import TIMES

__all__ = ["TypeMapping", "clickhouse_type", "in_source", "mapping"]


def mapping(column: Column) -> TypeMapping:
    """The mapping of a column: the one that the source file declares, else its type's; text where no type is known.

    Raises:
        ConfigurationError: the source file declares what the column cannot be.
    """
    usual = _unmasked(column)
    return usual if column.mask is None else masked(column, usual, Mask.parse(column.mask))


def _unmasked(column: Column) -> TypeMapping:
    if column.stored_as is not None:
        return declared(column, column.stored_as)
    if column.element is not None:
        if column.optional or column.dimensions > 1:
            return json_array(column.element)
        return typed_array(column.element, _element(column))
    return _scalar(column.type, column)


def in_source(spelling: Sql, column: Column) -> sql.SQL:
    """A mapping's SQL for PostgreSQL on this column; to be composed, not formatted again."""
    return sql.SQL(spelling(sql.Identifier(column.name).as_string(None)))


def clickhouse_type(column: Column) -> str:
    """The ClickHouse type of the column in the raw table: Nullable exactly where the source is."""
    kind = mapping(column)
    return kind.nullable() if column.optional else kind.clickhouse


def _scalar(name: str, column: Column) -> TypeMapping:
    if name == "numeric":
        return numeric(column.precision, column.scale)
    return TIMES.get(name) or SCALARS.get(name, ANYTHING)


def _element(column: Column) -> TypeMapping:
    """Inside an array's text stand its elements' own texts: not the hex, the JSON or the number that we make of some."""
    assert column.element is not None
    return ANYTHING if column.element in ("bytea", "hstore", "money") else _scalar(column.element, column)
