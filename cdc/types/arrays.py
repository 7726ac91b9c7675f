"""Arrays: columns of Array where that loses nothing, else the JSON of their elements' texts.

ClickHouse has no NULL array, and PostgreSQL checks neither the number of dimensions nor that of elements. So a column
that is NOT NULL and was declared with one dimension becomes Array(Nullable(T)), and a value of more dimensions is
refused; every other array column is JSON text, in which NULL, [] and any nesting are told apart. Lower bounds other
than 1 are not kept.
"""

from cdc.types.mapping import TypeMapping, cast_text, strict

_JSON_TEXT = "Array(Nullable(String))"

# Elements whose cast to text is what PostgreSQL writes for them inside an array, and costs one pass less.
_CASTABLE = {
    *("int2", "int4", "int8", "oid", "float4", "float8", "numeric", "uuid", "text", "varchar", "enum", "name"),
    *("date", "timestamp", "timestamptz", "jsonb", "json"),
    "box",  # its delimiter is not the comma, so that its literal is not one of text[]
}


def _as_texts(column: str, element: str) -> str:
    if element in ("text", "varchar"):
        return column
    return f"{column}::text[]" if element in _CASTABLE else f"{column}::text::text[]"


def json_array(element: str) -> TypeMapping:
    """Any array as JSON text: ``["1",null]``, ``[["a"],["b"]]``."""
    return TypeMapping(
        "String",
        lambda c: f"to_json({_as_texts(c, element)})",
        lambda c: cast_text(f"to_json({_as_texts(c, element)})"),
        lambda c: c,
        lambda c: c,
        zero="[]",
    )


def typed_array(element: str, mapping: TypeMapping) -> TypeMapping:
    """Array of the element's own type; elements are compared one by one, each with its length, so that no separator
    can deceive."""
    message = "an array of more dimensions than its column was declared with; declare text for the column"

    def from_text(text: str) -> str:
        one = mapping.from_text(f"ifNull(e, '{mapping.zero}')")
        nested = strict(f"JSONType({text}, 1) = 'Array'", message)
        elements = f"JSONExtract({text}, '{_JSON_TEXT}')"
        return f"arrayMap(e -> if(isNull(e), NULL, {one}), if({nested} = 0, {elements}, []))"

    def digest_source(column: str) -> str:
        # elements of composite types would come out of unnest as their fields
        kept_as_text = mapping.clickhouse == "String"
        elements = _as_texts(column, element) if kept_as_text else column
        text = "e" if kept_as_text else mapping.digest_source("e")
        return (
            f"(SELECT coalesce(string_agg(coalesce(octet_length({text}) || ':' || ({text}), '-'), ',' ORDER BY n), '') "
            f"FROM unnest({elements}) WITH ORDINALITY AS u (e, n))"
        )

    def digest_target(column: str) -> str:
        text = mapping.digest_target("assumeNotNull(e)")
        return (
            f"arrayStringConcat(arrayMap(e -> if(isNull(e), '-', concat(toString(length({text})), ':', {text})), "
            f"{column}), ',')"
        )

    return TypeMapping(
        f"Array(Nullable({mapping.clickhouse}))",
        lambda c: f"to_json({_as_texts(c, element)})",
        digest_source,
        digest_target,
        from_text,
        direct=False,
        zero="[]",
    )
