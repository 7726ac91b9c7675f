"""What is decided for each type, and the pieces of SQL that mappings are made of.

A value arrives by two ways, COPY's text and Debezium's JSON, and both carry PostgreSQL's own text (the stream through
our converter, `cdc/connect/java`), so one rule serves both. Where ClickHouse's formats read that text exactly they
read it straight into the column; where they would clamp, round or guess, it is read as a String and parsed by
``from_text``, which fails on what the column cannot hold. A value that does not fit is refused, never changed.
"""

from collections.abc import Callable
from dataclasses import dataclass

Sql = Callable[[str], str]
"""From a quoted column or an expression to an expression."""


@dataclass(frozen=True)
class TypeMapping:
    """How one type is stored and proven.

    Attributes:
        clickhouse: the column's type, without Nullable.
        copy: in PostgreSQL, the value as COPY shall write it.
        digest_source: in PostgreSQL, a text of the value; NULL for NULL.
        digest_target: in ClickHouse, of a value that is not NULL; the same text for the same value.
        from_text: in ClickHouse, from the text (a String, never NULL) to the value; an error where it does not fit.
        direct: whether the formats' own parsers are as strict as ``from_text``, and are used instead of it.
        zero: a text that ``from_text`` takes, for rows whose value is not looked at.
        clamped: in PostgreSQL, whether the copy holds a limit in the value's place; None where nothing is clamped.
    """

    clickhouse: str
    copy: Sql
    digest_source: Sql
    digest_target: Sql
    from_text: Sql
    direct: bool = True
    zero: str = ""
    clamped: Sql | None = None

    def nullable(self) -> str:
        """The column's type where the source allows NULL."""
        if self.clickhouse.startswith("LowCardinality("):
            inner = self.clickhouse.removeprefix("LowCardinality(").removesuffix(")")
            return f"LowCardinality(Nullable({inner}))"
        return f"Nullable({self.clickhouse})"


def same(expression: str) -> str:
    """The expression as it is."""
    return expression


def cast_text(column: str) -> str:
    """PostgreSQL: the value cast to text, for types whose cast writes what COPY writes."""
    return f"{column}::text"


def output_text(column: str) -> str:
    """PostgreSQL: what COPY would write, for any type: casts to text of inet, char(n) or xml write something else.

    Not ``IS NULL``: a composite value whose fields are all NULL is not NULL itself.
    """
    return f"CASE WHEN {column} IS DISTINCT FROM NULL THEN concat({column}) END"


def text_column(copy: Sql = same, digest_source: Sql = output_text) -> TypeMapping:
    """The value's text in a String."""
    return TypeMapping("String", copy, digest_source, same, same)


def strict(condition: str, message: str) -> str:
    """ClickHouse: 0, or an error with the message where the condition holds."""
    return f"throwIf({condition}, '{message}')"
