"""Types that a source file declares for a column instead of the usual one: `text`, `clamp`, or a type of ClickHouse.

Only what is known to be exact, or to lose what its name says, can be declared; the rest is refused with what is allowed.
"""

import re

from cdc.catalog import Column
from cdc.errors import ConfigurationError
from cdc.types.arrays import json_array
from cdc.types.mapping import TypeMapping, same, strict
from cdc.types.scalars import ANYTHING, MAX_DECIMAL_DIGITS, SCALARS, TEXT
from cdc.types.times import CLAMPED, TIMES

_DECIMAL = re.compile(r"Decimal\((\d+), ?(\d+)\)")
_LOW_CARDINALITY = "LowCardinality(String)"


def declared(column: Column, kind: str) -> TypeMapping:
    """The mapping that the source file asks for.

    Raises:
        ConfigurationError: the column's type cannot be kept so; names what it can be.
    """
    allowed = allowed_for(column)
    if kind in allowed:
        return allowed[kind]
    if column.type == "numeric" and (match := _DECIMAL.fullmatch(kind)):
        precision, scale = int(match[1]), int(match[2])
        if 1 <= precision <= MAX_DECIMAL_DIGITS and scale <= precision:
            return _decimal(precision, scale)
    names = [*allowed, *(["Decimal(p, s) of at most 76 digits"] if column.type == "numeric" else [])]
    raise ConfigurationError(
        f"column {column.name} of type {column.type} cannot be kept as {kind!r}; "
        + (f"it can be {', '.join(names)}" if names else "its usual mapping is exact, and there is no other")
    )


def allowed_for(column: Column) -> dict[str, TypeMapping]:
    """What can be declared for a column by one word."""
    if column.element is not None:
        return {"text": json_array(column.element)}
    if column.type in TIMES:
        return {"text": TEXT, "clamp": CLAMPED[column.type]}
    if column.type == "numeric":
        return {"text": TEXT}
    usual = SCALARS.get(column.type, ANYTHING)
    if usual.clickhouse == "String":
        few = TypeMapping(_LOW_CARDINALITY, usual.copy, usual.digest_source, same, same, direct=False)
        return {"text": usual, _LOW_CARDINALITY: few}
    return {}


def _decimal(precision: int, scale: int) -> TypeMapping:
    """Numbers that this Decimal holds exactly; NaN, infinities and further digits are refused."""
    kind = f"Decimal({precision}, {scale})"

    def from_text(text: str) -> str:
        whole = f"length(trimLeft(splitByChar('.', {text})[1], '-0')) > {precision - scale}"
        further = f"length(trimRight(splitByChar('.', {text})[2], '0')) > {scale}"
        refused = strict(f"{whole} OR {further}", f"a number that {kind} does not hold exactly")
        return f"if({refused} = 0, CAST({text}, '{kind}'), CAST('0', '{kind}'))"

    return TypeMapping(
        kind,
        same,
        lambda c: f"trim_scale({c})::text",
        lambda c: f"toString({c})",
        from_text,
        direct=False,
        zero="0",
    )
