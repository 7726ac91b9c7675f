"""The same row as the same text on both sides: each column's text with its length, or a mark for NULL.

So no value can pass for two, nor two for one. Of a text without a comma (numbers, times) the length is left out: finding
it would spell the value twice. The texts themselves are decided by `cdc.types`.
"""

from collections.abc import Iterable

from psycopg import sql

from cdc.catalog import Column
from cdc.clickhouse import quote
from cdc.types import in_source, mapping

# Types whose texts have no comma and are never the mark of NULL.
_PLAIN = {"int2", "int4", "int8", "bool", "uuid", "date", "timestamp", "timestamptz", "float4", "float8", "numeric"}


def source_text(column: Column) -> sql.Composable:
    """The column's value as text, in the source's SQL."""
    return in_source(mapping(column).digest_source, column)


def target_text(column: Column) -> str:
    """The column's value as the same text, in ClickHouse's SQL; of a NULL, anything."""
    name = quote(column.name)
    return mapping(column).digest_target(f"assumeNotNull({name})" if column.optional else name)


def source_row(columns: Iterable[Column]) -> sql.Composed:
    """The columns' values as one text, in the source's SQL."""
    return sql.SQL(" || ").join(_source_field(column) for column in columns)


def target_row(columns: Iterable[Column]) -> str:
    """The columns' values as the same text, in ClickHouse's SQL."""
    return f"concat({', '.join(_target_field(column) for column in columns)}, '')"


def _source_field(column: Column) -> sql.Composed:
    text = source_text(column)
    if column.type not in _PLAIN:
        return sql.SQL("coalesce(octet_length({text}) || ':' || ({text}), '-')").format(text=text)
    if column.optional:
        return sql.SQL("coalesce({}, 'N') || ','").format(text)
    return sql.SQL("({}) || ','").format(text)


def _target_field(column: Column) -> str:
    text = target_text(column)
    plain = column.type in _PLAIN
    field = f"concat({text}, ',')" if plain else f"concat(toString(length({text})), ':', {text})"
    if not column.optional:
        return field
    return f"if(isNull({quote(column.name)}), '{'N,' if plain else '-'}', {field})"
