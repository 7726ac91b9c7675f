"""Types that hold one value, other than dates and times: numbers, truth, texts, and everything that is kept as text.

A type that is not named here is kept as the text that PostgreSQL writes for it, so there is no type without a mapping.
"""

from cdc.types.mapping import TypeMapping, cast_text, same, text_column

MAX_DECIMAL_DIGITS = 76


def plain(clickhouse: str, zero: str = "0") -> TypeMapping:
    """A type that both sides write alike."""
    return TypeMapping(
        clickhouse,
        same,
        cast_text,
        lambda c: f"toString({c})",
        lambda c: f"CAST({c}, '{clickhouse}')",
        zero=zero,
    )


def floating(bits: int) -> TypeMapping:
    """Floats are compared by their bits, as texts of numbers differ; every NaN is one."""
    return TypeMapping(
        f"Float{bits}",
        same,
        lambda c: f"CASE WHEN {c} = 'NaN' THEN 'NaN' ELSE encode(float{bits // 8}send({c}), 'hex') END",
        lambda c: f"if(isNaN({c}), 'NaN', lower(hex(reverse(reinterpretAsFixedString({c})))))",
        lambda c: f"CAST({c}, 'Float{bits}')",
        zero="0",
    )


def decimal(precision: int, scale: int) -> TypeMapping:
    """A numeric with declared digits that fit; NaN does not, and is refused."""
    kind = f"Decimal({precision}, {scale})"
    return TypeMapping(
        kind,
        same,
        cast_text,
        lambda c: f"toDecimalString({c}, {scale})",
        lambda c: f"CAST({c}, '{kind}')",
        zero="0",
    )


def numeric(precision: int | None, scale: int | None) -> TypeMapping:
    """Decimal where every digit fits, else text: never truncated.

    A negative scale rounds before the point, one above the precision begins after leading zeros.
    """
    if precision is None:
        return TEXT
    after = scale or 0
    digits = precision - after if after < 0 else max(precision, after)
    return TEXT if digits > MAX_DECIMAL_DIGITS else decimal(digits, max(after, 0))


TEXT = text_column(digest_source=cast_text)
ANYTHING = text_column()

SCALARS: dict[str, TypeMapping] = {
    "int2": plain("Int16"),
    "int4": plain("Int32"),
    "int8": plain("Int64"),
    "oid": plain("UInt32"),
    "bool": plain("Bool", "f"),
    "uuid": plain("UUID", "00000000-0000-0000-0000-000000000000"),
    "float4": floating(32),
    "float8": floating(64),
    "money": TypeMapping(
        "Decimal(19, 2)",
        lambda c: f"{c}::numeric",
        lambda c: f"({c}::numeric)::text",
        lambda c: f"toDecimalString({c}, 2)",
        lambda c: f"CAST({c}, 'Decimal(19, 2)')",
        zero="0",
    ),
    "bytea": text_column(lambda c: f"encode({c}, 'hex')", lambda c: f"encode({c}, 'hex')"),
    "hstore": text_column(lambda c: f"({c})::json", lambda c: f"(({c})::json)::text"),
    # Their casts to text write what COPY writes, and cost less.
    **dict.fromkeys(("text", "varchar", "citext", "name", "json", "jsonb", "enum"), TEXT),
}
"""Mappings by the catalog's name of the type; what is missing is `ANYTHING`."""
