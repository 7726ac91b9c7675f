"""The metrics of dbt/metrics.yml, read and held against the contracts of the marts that they are made from.

A ratio names two metrics, so that it is made of sums at whatever grain is asked for. What cannot be summed up (an
average, a ratio that a mart holds ready) is refused here. It asks no server.
"""

import re
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlglot import exp

from metrics.contracts import Contracts
from metrics.metric import Metric, MetricError, Metrics, parsed

PATH = Path(__file__).resolve().parents[1] / "dbt" / "metrics.yml"
_AGGREGATES = re.compile(r"(sum|count|uniqExact|min|max)(If)?\(")
_RATIOS = re.compile(r"(_rate|_per_\w+|_share|_rank)$|^(average|mean|of|p\d+|median)_|^retention$|^days_of_cover$")
"""Columns of marts that are ratios already."""
_SUMMED_ALL_THE_SAME = frozenset({"reciprocal_rank"})
_NUMBER = re.compile(r"(Nullable\()?(U?Int|Decimal|Float)")


class _Given(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Metric(_Given):
    name: str
    label: str
    description: str
    unit: Literal["money", "count", "share", "number"]
    decision: str
    expression: str = ""
    numerator: str = ""
    denominator: str = ""
    requires: tuple[str, ...] = ()


class _Mart(_Given):
    owner: str
    time: str = ""
    dimensions: tuple[str, ...] = ()
    metrics: tuple[_Metric, ...]


class _File(_Given):
    marts: dict[str, _Mart]


def load(contracts: Contracts, path: Path = PATH) -> Metrics:
    """Read the file and hold it against the marts' contracts. Raises MetricError at the first definition that is wrong."""
    try:
        given = _File.model_validate(yaml.safe_load(path.read_text()))
    except yaml.YAMLError as error:
        raise MetricError(f"{path.name} is no YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise MetricError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    found: dict[str, Metric] = {}
    for mart, defined in given.marts.items():
        if mart not in contracts:
            raise MetricError(f"{path.name}: there is no mart {mart}")
        of_mart = _of_mart(mart, defined, contracts[mart])
        if twice := found.keys() & of_mart.keys():
            raise MetricError(f"{path.name}: {', '.join(sorted(twice))} is defined twice")
        found |= of_mart
    return Metrics(found, contracts)


def _of_mart(mart: str, defined: _Mart, types: dict[str, str]) -> dict[str, Metric]:
    for column in (*defined.dimensions, *([defined.time] if defined.time else [])):
        if column not in types:
            raise MetricError(f"{mart} has no column {column}")
    if defined.time and "Date" not in types[defined.time]:
        raise MetricError(f"{mart}.{defined.time} is {types[defined.time]}: time is a date or a DateTime64")
    if floats := [name for name in defined.dimensions if "Float" in types[name]]:
        raise MetricError(f"{mart}.{floats[0]} is a Float: nothing is grouped by one")
    made: dict[str, Metric] = {}
    for given in sorted(defined.metrics, key=lambda metric: not metric.expression):
        if given.name in made:
            raise MetricError(f"{given.name} is defined twice")
        made[given.name] = _metric(mart, defined, given, made)
        if given.expression:
            _check_expression(made[given.name], types)
    return {given.name: made[given.name] for given in defined.metrics}


def _metric(mart: str, defined: _Mart, given: _Metric, made: dict[str, Metric]) -> Metric:
    if bool(given.expression) == bool(given.numerator and given.denominator):
        raise MetricError(f"{given.name} needs an expression, or a numerator and a denominator")
    parts: tuple[Metric, Metric] | None = None
    requires = frozenset(given.requires)
    if not given.expression:
        for part in (given.numerator, given.denominator):
            if part not in made or made[part].parts:
                raise MetricError(f"{given.name}: {part} is no metric of {mart} with an expression")
        parts = (made[given.numerator], made[given.denominator])
        requires |= parts[0].requires | parts[1].requires
    if unknown := requires - set(defined.dimensions):
        raise MetricError(f"{given.name} requires {', '.join(sorted(unknown))}, which is no dimension of {mart}")
    return Metric(
        given.name, given.label, given.description, given.unit, given.decision, mart, defined.owner, defined.time,
        defined.dimensions, requires, given.expression, parts,
    )  # fmt: skip


def _check_expression(metric: Metric, types: dict[str, str]) -> None:
    where = f"{metric.name}: {metric.expression}"
    tree = parsed(metric.expression)
    if not _AGGREGATES.match(metric.expression) or tree.find(exp.Query, exp.Div):
        raise MetricError(f"{where} is no sum, count, uniqExact, min or max; a ratio has a numerator and a denominator")
    if len(list(tree.find_all(exp.AggFunc))) != 1:
        raise MetricError(f"{where} has an aggregate within another, or none")
    if unknown := metric.columns - types.keys():
        raise MetricError(f"{where}: {metric.mart} has no column {', '.join(sorted(unknown))}")
    if not metric.expression.startswith("sum"):
        return
    summed = tree.find(exp.Column)
    kind = types[summed.name] if summed else ""
    if summed is None or not _NUMBER.match(kind):
        raise MetricError(f"{where}: only a column of numbers can be summed, and this is {kind or 'none'}")
    if _RATIOS.search(summed.name) and summed.name not in _SUMMED_ALL_THE_SAME:
        raise MetricError(f"{where}: {summed.name} is a ratio; make it of its numerator and denominator")
    if (metric.unit == "money") != ("Decimal" in kind):
        raise MetricError(f"{where}: {summed.name} is {kind}, and the unit is {metric.unit}")
