"""What every benchmark reports: metrics with their unit, ceiling, ratio and bar, as a table and as JSON."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Metric:
    """One figure. ``bar`` is the limit that it must keep, ``met`` whether it did; None where there is none.

    ``ceiling`` is what the same machine could do at best, measured in the same run; ``ratio`` is value / ceiling.
    """

    metric: str
    value: float
    unit: str
    ceiling: float | None = None
    ratio: float | None = None
    bar: float | None = None
    met: bool | None = None


def at_most(metric: str, value: float, unit: str, bar: float) -> Metric:
    """A figure that must not be above its bar."""
    return Metric(metric, round(value, 2), unit, bar=bar, met=value <= bar)


def at_least(metric: str, value: float, unit: str, ceiling: float, bar: float) -> Metric:
    """A figure that must be at least ``bar`` times its ceiling."""
    return Metric(
        metric, round(value, 2), unit, round(ceiling, 2), round(value / ceiling, 3), bar, value >= bar * ceiling
    )


def report(name: str, metrics: list[Metric], json_file: Path | None) -> bool:
    """Print the metrics, write the JSON when asked, and return whether every bar was met."""
    table = Table("metric", "value", "ceiling", "ratio", "bar", "met", title=name)
    for metric in metrics:
        table.add_row(
            metric.metric,
            f"{_number(metric.value)} {metric.unit}",
            "" if metric.ceiling is None else _number(metric.ceiling),
            "" if metric.ratio is None else f"{metric.ratio:.2f}",
            "" if metric.bar is None else _number(metric.bar),
            {True: "yes", False: "NO", None: ""}[metric.met],
        )
    Console().print(table)
    if json_file is not None:
        json_file.write_text(
            json.dumps({"name": name, "metrics": [asdict(metric) for metric in metrics]}, indent=2) + "\n"
        )
    return all(metric.met is not False for metric in metrics)


def _number(value: float) -> str:
    """As a person reads it: whole where it is large, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
