"""A question about metrics, rendered to ClickHouse's SQL.

Names come from the definitions and values travel as typed parameters, so nothing that a user wrote is part of the SQL.
A ratio is the quotient of two sums over the rows of each point, NULL where there is nothing to divide by. All metrics
of a question are made of one mart; joining marts is the marts' work.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, get_args

from metrics.metric import Metric, MetricError, Metrics

Grain = Literal["day", "week", "month", "quarter", "year"]
Operator = Literal["=", "!=", "in"]
_STARTS: Mapping[Grain, str] = {
    "day": "toDate32({})",
    "week": "toDate32(toMonday({}))",
    "month": "toDate32(toStartOfMonth({}))",
    "quarter": "toDate32(toStartOfQuarter({}))",
    "year": "toDate32(toStartOfYear({}))",
}
_ALIAS = "mart"


@dataclass(frozen=True)
class Filter:
    """A dimension held to a value; for `in`, to any of a list. A query that is kept for later has no value yet."""

    dimension: str
    operator: Operator = "="
    value: Any = None


@dataclass(frozen=True)
class Question:
    """Which metrics, by which dimensions, at which grain of time, over which days (both ends among them)."""

    metrics: tuple[str, ...]
    by: tuple[str, ...] = ()
    grain: Grain | None = None
    filters: tuple[Filter, ...] = ()
    ranged: bool = False
    """Whether only the days from `first` to `last` count."""
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True)
class Rendered:
    """SQL with {name:Type} placeholders, their values, and the columns of its answer in order."""

    sql: str
    parameters: dict[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = ()


def render(metrics: Metrics, question: Question, database: str | None = None) -> Rendered:
    """The question as SQL over `database`'s marts, or those of the connection's own. Raises MetricError."""
    asked = _asked(metrics, question)
    mart = asked[0].mart
    types = metrics.contracts[mart]
    keys = {name: f"{_ALIAS}.{name}" for name in question.by}
    if question.grain:
        keys = {question.grain: _STARTS[question.grain].format(f"{_ALIAS}.{asked[0].time}")} | keys
    conditions, parameters = _conditions(question, asked[0], types)
    selected = [
        *(f"{made} AS {name}" for name, made in keys.items()),
        *(f"{expression(one, _ALIAS)} AS {one.name}" for one in asked),
    ]
    lines = [
        "SELECT",
        "    " + ",\n    ".join(selected),
        f"FROM {f'{database}.' if database else ''}{mart} AS {_ALIAS}",
    ]
    if conditions:
        lines.append("WHERE " + "\n    AND ".join(conditions))
    if keys:
        lines += [f"GROUP BY {', '.join(keys.values())}", f"ORDER BY {', '.join(keys.values())}"]
    return Rendered("\n".join(lines), parameters, (*keys, *question.metrics))


def _asked(metrics: Metrics, question: Question) -> list[Metric]:
    """The metrics of a question that makes sense."""
    asked = [metrics[name] for name in question.metrics]
    if not asked or len(set(question.metrics)) != len(asked):
        raise MetricError("ask for at least one metric, and for each once")
    mart, time = asked[0].mart, asked[0].time
    if other := next((metric for metric in asked if metric.mart != mart), None):
        raise MetricError(f"{asked[0].name} is made of {mart}, {other.name} of {other.mart}: ask for each by itself")
    if (question.grain or question.ranged) and not time:
        raise MetricError(f"{mart} has no time: ask without a grain and without days")
    if question.grain and question.grain not in get_args(Grain):
        raise MetricError(f"there is no grain {question.grain}; there are {', '.join(get_args(Grain))}")
    named = [*question.by, *(each.dimension for each in question.filters)]
    if unknown := [name for name in named if name not in asked[0].dimensions]:
        known = ", ".join(asked[0].dimensions) or "none"
        raise MetricError(f"{unknown[0]} is no dimension of {mart}; it has: {known}")
    fixed = {*question.by, *(each.dimension for each in question.filters if each.operator == "=")}
    for metric in asked:
        if missing := metric.requires - fixed:
            raise MetricError(f"{metric.name} needs {', '.join(sorted(missing))}: group by it or hold it to one value")
    return asked


def _conditions(question: Question, metric: Metric, types: dict[str, str]) -> tuple[list[str], dict[str, Any]]:
    conditions: list[str] = []
    parameters: dict[str, Any] = {}
    for each in question.filters:
        if each.operator not in get_args(Operator):
            raise MetricError(f"there is no operator {each.operator}; there are {', '.join(get_args(Operator))}")
        name, number = each.dimension, 1
        while name in parameters:
            name, number = f"{each.dimension}_{number + 1}", number + 1
        kind = re.sub(r"^Nullable\((.*)\)$", r"\1", types[each.dimension])
        kind = f"Array({kind})" if each.operator == "in" else kind
        conditions.append(f"{_ALIAS}.{each.dimension} {each.operator.upper()} {{{name}:{kind}}}")
        parameters[name] = each.value
    if question.ranged:
        conditions.append(f"toDate32({_ALIAS}.{metric.time}) BETWEEN {{first:Date32}} AND {{last:Date32}}")
        parameters |= {"first": question.first, "last": question.last}
    return conditions, parameters


def expression(metric: Metric, table: str) -> str:
    """The metric over the rows of each point, its columns named by their table or its alias."""
    if metric.parts is None:
        return metric.qualified(table)
    above, below = (part.qualified(table) for part in metric.parts)
    if metric.unit == "money":  # the same as the macro money_per: half away from zero, four more digits carried through
        return f"CAST(round(CAST({above} AS Decimal(38, 6)) / nullIf({below}, 0), 2) AS Nullable(Decimal(18, 2)))"
    return f"toFloat64({above}) / nullIf(toFloat64({below}), 0)"
