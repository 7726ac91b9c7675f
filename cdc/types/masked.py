"""Columns that a source file masks: kept as text, whatever their type, and compared by their masked value."""

from cdc.catalog import Column
from cdc.errors import ConfigurationError
from cdc.masking import Mask
from cdc.types.mapping import TypeMapping, same

_CANONICAL = {"int2", "int4", "int8", "uuid"}  # not kept as text, but of one text only


def masked(column: Column, usual: TypeMapping, mask: Mask) -> TypeMapping:
    """The mapping of a masked column, from the one that it has without its mask.

    Raises:
        ConfigurationError: its values have no text that the stream and a copy spell alike, so they cannot be hashed or cut.
    """
    if mask.kind != "redact" and usual.clickhouse != "String" and column.type not in _CANONICAL:
        raise ConfigurationError(
            f"column {column.name} of type {column.type} cannot be masked by {mask.kind}, as it is not kept as text; "
            f"declare `types: {{{column.name}: text}}` as well where that is allowed, or redact or exclude it"
        )

    def value(name: str) -> str:
        return mask.in_source(name, usual.digest_source(name))

    return TypeMapping("String", value, value, same, same)
