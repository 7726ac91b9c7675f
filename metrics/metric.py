"""What a metric is: an aggregate over the rows of a mart, or the ratio of two of them."""

from dataclasses import dataclass
from functools import cached_property

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from metrics.contracts import Contracts

DIALECT = "clickhouse"


class MetricError(Exception):
    """A definition or a question that makes no sense; the message is one line that says what to do."""


@dataclass(frozen=True)
class Metric:
    """One metric with what its mart says of it; a ratio has `parts`, numerator and denominator."""

    name: str
    label: str
    description: str
    unit: str
    decision: str
    mart: str
    owner: str
    time: str
    dimensions: tuple[str, ...]
    requires: frozenset[str]
    expression: str = ""
    parts: tuple["Metric", "Metric"] | None = None

    @cached_property
    def columns(self) -> frozenset[str]:
        """Columns of the mart that it is made of; count() needs none."""
        if self.parts:
            return self.parts[0].columns | self.parts[1].columns
        return frozenset(column.name for column in parsed(self.expression).find_all(exp.Column))

    def qualified(self, alias: str) -> str:
        """The expression with every column named `alias.column`, so that no alias of the SELECT can take its place."""
        tree = parsed(self.expression)
        for column in list(tree.find_all(exp.Column)):
            column.set("table", exp.to_identifier(alias))
        return tree.sql(DIALECT)


@dataclass(frozen=True)
class Metrics:
    """Every metric by name, and the contracts that give their columns types."""

    by_name: dict[str, Metric]
    contracts: Contracts

    def __getitem__(self, name: str) -> Metric:
        try:
            return self.by_name[name]
        except KeyError:
            raise MetricError(
                f"there is no metric {name}; dbt/metrics.yml has {', '.join(sorted(self.by_name))}"
            ) from None


def parsed(expression: str) -> exp.Expr:
    """The expression as sqlglot reads it. Raises MetricError."""
    try:
        return sqlglot.parse_one(expression, dialect=DIALECT)
    except SqlglotError as error:
        raise MetricError(f"cannot read the expression {expression!r}: {str(error).splitlines()[0]}") from error
