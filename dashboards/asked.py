"""What a chart asks of its dataset: saved metrics, columns, filters. A formula of its own is named, wherever it may hide.

Every kind of chart keeps its columns under other names, so only the kinds below are taken: one that nobody has taught
this module could hold a formula that it does not see.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dashboards.asset import Chart

_METRICS = ("metric", "metrics", "secondary_metric", "percent_metrics", "timeseries_limit_metric", "size", "metric_b")
_COLUMNS: dict[str, tuple[str, ...]] = {
    "big_number_total": (),
    "echarts_timeseries_bar": ("x_axis", "groupby"),
    "echarts_timeseries_line": ("x_axis", "groupby"),
    "heatmap_v2": ("x_axis", "groupby"),
    "pie": ("groupby",),
    "funnel": ("groupby",),
    "table": ("groupby",),
}
"""Kind of chart -> where it keeps the columns that it groups by."""
_EVERYWHERE = ("series", "columns", "granularity_sqla", "entity", "groupby_b", "columns_b")
_FORMULAS = (
    "percent_metrics",
    "contributionMode",
    "rolling_type",
    "resample_rule",
    "resample_method",
    "time_compare",
    "comparison_type",
    "annotation_layers",
    "forecastEnabled",
    "where",
    "having",
    "having_druid",
    "show_totals",
    "cumulative",
    "aggregation",
)
"""What Superset computes from what a metric gave, or SQL of a chart's own."""
_NOTHING: tuple[Any, ...] = (None, "", [], {}, False, "None", "values")


@dataclass
class Asked:
    """Names that a chart uses, each as the dataset has it."""

    metrics: list[str] = field(default_factory=list)
    grouped: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    """Columns whose rows are listed as they are, and those that order them."""
    filtered: dict[str, tuple[str, Any]] = field(default_factory=dict)
    """Column -> operator and value."""
    formulas: list[str] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        """Every column that it names."""
        return list(dict.fromkeys([*self.grouped, *self.shown, *self.filtered]))

    @property
    def held(self) -> set[str]:
        """Columns that are grouped by or held to one value: what a metric that may not be added over them needs."""
        return {*self.grouped, *(name for name, (operator, _) in self.filtered.items() if operator == "==")}


def knows(chart: Chart) -> bool:
    """Whether the kind of chart is one that this module can read."""
    return chart.viz_type in _COLUMNS


def asked(chart: Chart) -> Asked:
    """What the chart asks for, as far as its kind is known."""
    given, found = chart.params, Asked()
    for key in _METRICS:
        for metric in _listed(given.get(key)):
            _take(metric, found.metrics, key, found)
    if given.get("query_mode") == "raw":
        for column in _listed(given.get("all_columns")):
            _take(column, found.shown, "all_columns", found)
        for order in _listed(given.get("order_by_cols")):
            found.shown.append(json.loads(order)[0])
    else:
        for key in (*_COLUMNS.get(chart.viz_type, ()), *_EVERYWHERE):
            for column in _listed(given.get(key)):
                _take(column, found.grouped, key, found)
    order = given.get("x_axis_sort")
    if order not in _NOTHING and order not in (*found.metrics, *found.grouped):
        found.formulas.append(f"x_axis_sort: {order}")
    found.formulas += [key for key in _FORMULAS if given.get(key) not in _NOTHING]
    for one in _listed(given.get("adhoc_filters")):
        _filter(one, found)
    return found


def _listed(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif value not in _NOTHING:
        yield value


def _take(value: Any, into: list[str], key: str, found: Asked) -> None:
    """A name is taken; anything else is a column or a metric that the chart made up."""
    if isinstance(value, str):
        into.append(value)
    else:
        found.formulas.append(f"{key}: {value.get('label') or value.get('sqlExpression') or value}")


def _filter(one: dict[str, Any], found: Asked) -> None:
    if one.get("expressionType") != "SIMPLE" or one.get("clause") != "WHERE":
        found.formulas.append(f"adhoc_filters: {one.get('sqlExpression') or one.get('clause')}")
    else:
        found.filtered[one["subject"]] = (one["operator"], one.get("comparator"))
