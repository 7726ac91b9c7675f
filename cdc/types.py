"""One mapping per PostgreSQL type: how its values are written in ClickHouse, from either path, and how they are proven.

A value reaches ClickHouse in two spellings: Debezium's JSON (the stream) and COPY's text (the backfill). Both are read
by ClickHouse's own parsers straight into the column's type, so there is one place where each type is decided. For proof,
``digest_source`` and ``digest_target`` give SQL that spells the same value as the same text on both sides.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cdc.catalog import Column
from cdc.errors import ConfigurationError

Sql = Callable[[str], str]

MAX_DECIMAL_DIGITS = 76


@dataclass(frozen=True)
class TypeMapping:
    """How one PostgreSQL type is stored and compared.

    Each function takes a quoted column expression and returns SQL: ``copy`` is run in PostgreSQL to spell the value for
    the backfill, ``digest_source`` in PostgreSQL and ``digest_target`` in ClickHouse (on a not-null value) give equal
    text for equal values. ``copied_as_json`` says that ``copy`` spells JSON, which ClickHouse does not read from COPY's
    text by itself; ``streamed``, where given, turns the stream's text (read as a String) into the type, in ClickHouse.
    """

    clickhouse: str
    copy: Sql
    digest_source: Sql
    digest_target: Sql
    copied_as_json: bool = False
    streamed: Sql | None = None


def _same(clickhouse: str) -> TypeMapping:
    return TypeMapping(clickhouse, lambda c: c, lambda c: f"{c}::text", lambda c: f"toString({c})")


def _text(copy: Sql = lambda c: c) -> TypeMapping:
    return TypeMapping("String", copy, lambda c: f"{copy(c)}::text", lambda c: c)


def _decimal(precision: int, scale: int) -> TypeMapping:
    return TypeMapping(
        f"Decimal({precision}, {scale})",
        lambda c: c,
        lambda c: f"{c}::text",
        lambda c: f"toDecimalString({c}, {scale})",
    )


def _float(bits: int) -> TypeMapping:
    return TypeMapping(
        f"Float{bits}",
        lambda c: c,
        lambda c: f"encode(float{bits // 8}send({c}), 'hex')",
        lambda c: f"lower(hex(reverse(reinterpretAsFixedString({c}))))",
    )


_MAPPINGS: dict[str, TypeMapping] = {
    "int2": _same("Int16"),
    "int4": _same("Int32"),
    "int8": _same("Int64"),
    "float4": _float(32),
    "float8": _float(64),
    "bool": _same("Bool"),
    "uuid": _same("UUID"),
    "bpchar": TypeMapping("String", lambda c: c, lambda c: f"rtrim({c}::text)", lambda c: f"trimRight({c})"),
    "bytea": _text(lambda c: f"encode({c}, 'hex')"),
    "timestamptz": TypeMapping(
        "DateTime64(6, 'UTC')",
        lambda c: c,
        lambda c: f"(extract(epoch FROM {c}) * 1000000)::int8::text",
        lambda c: f"toString(toUnixTimestamp64Micro({c}))",
    ),
    "date": TypeMapping(
        "Date32",
        lambda c: c,
        lambda c: f"({c} - date '1970-01-01')::text",
        lambda c: f"toString(toInt32({c}))",
        streamed=lambda c: f"toDate32(substring({c}, 1, 10))",  # Debezium writes a Z behind the day
    ),
}
_MAPPINGS["timestamp"] = _MAPPINGS["timestamptz"]

_ELEMENTS = {
    "_int2": "Int16",
    "_int4": "Int32",
    "_int8": "Int64",
    "_text": "String",
    "_varchar": "String",
    "_uuid": "UUID",
}


def _array(element: str) -> TypeMapping:
    """One-dimensional arrays; elements are compared one by one, each with its length, so no separator can deceive."""
    return TypeMapping(
        f"Array(Nullable({element}))",
        lambda c: f"to_json({c})",
        lambda c: (
            f"(SELECT coalesce(string_agg(coalesce(octet_length(e::text) || ':' || e::text, '-'), ',' ORDER BY n), '') "
            f"FROM unnest({c}) WITH ORDINALITY AS u (e, n))"
        ),
        lambda c: (
            "arrayStringConcat(arrayMap(e -> if(isNull(e), '-', "
            f"concat(toString(length(toString(e))), ':', toString(e))), {c}), ',')"
        ),
        copied_as_json=True,
    )


_TEXT = _text()
_NUMERIC_TEXT = TypeMapping(
    "String",
    lambda c: c,
    lambda c: f"{c}::text",
    lambda c: c,
    # Debezium's words for what is no number, in PostgreSQL's spelling.
    streamed=lambda c: (
        f"transform({c}, ['NAN', 'POSITIVE_INFINITY', 'NEGATIVE_INFINITY'], ['NaN', 'Infinity', '-Infinity'], {c})"
    ),
)
_TEXT_TYPES = {"text", "varchar", "json", "jsonb", "citext", "name", "enum"}


def mapping(column: Column) -> TypeMapping:
    """The mapping of a column's type.

    Numerics that do not fit ClickHouse's widest Decimal (76 digits), or that declare no precision, are kept as text:
    never truncated.

    Raises:
        ConfigurationError: a type whose two spellings are not known to be equal; it is refused, not guessed.
    """
    if column.type == "numeric":
        if column.precision is None or column.precision > MAX_DECIMAL_DIGITS or (column.scale or 0) > column.precision:
            return _NUMERIC_TEXT
        return _decimal(column.precision, column.scale or 0)
    if column.type in _TEXT_TYPES:
        return _TEXT
    if column.type in _ELEMENTS and not column.nullable:
        return _array(_ELEMENTS[column.type])
    if column.type in _MAPPINGS:
        return _MAPPINGS[column.type]
    nullable = "nullable " if column.nullable and column.type in _ELEMENTS else ""
    raise ConfigurationError(
        f"column {column.name} has the {nullable}type {column.type}, which has no mapping; exclude the table"
    )


def clickhouse_type(column: Column) -> str:
    """The ClickHouse type of the column in the raw table: Nullable exactly where the source is."""
    kind = mapping(column).clickhouse
    return f"Nullable({kind})" if column.nullable else kind
