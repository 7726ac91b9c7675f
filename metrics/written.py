"""What is made of the metrics and checked in: docs/metrics.md, and the analytics service's queries."""

from pathlib import Path

from metrics.compiler import Filter, Question, render
from metrics.metric import Metric, Metrics

ROOT = Path(__file__).resolve().parents[1]
QUERIES = {
    "REVENUE_BY_DAY": Question(
        ("orders", "cancelled_orders", "units", "gross_revenue", "refunds", "net_revenue", "refunds_issued"),
        grain="day",
        filters=(Filter("currency"),),
        ranged=True,
    ),
    "CUSTOMERS": Question(
        ("known_customers", "registered_customers", "deleted_customers", "buying_customers", "repeat_customers",
         "consenting_customers"),
    ),
}  # fmt: skip
"""What the analytics service asks; it may not import the compiler, so it keeps what came out."""


def files(metrics: Metrics) -> dict[Path, str]:
    """Every checked-in file with the content that it must have."""
    return {
        ROOT / "docs" / "metrics.md": page(metrics),
        ROOT / "services" / "analytics" / "metric_queries.py": queries(metrics),
    }


def queries(metrics: Metrics) -> str:
    """The analytics service's queries as a Python module."""
    lines = [
        '"""Queries over metrics, written by `python -m metrics` from dbt/metrics.yml: change that, not this."""',
        "",
    ]
    lines += ["from typing import Final"]
    for name, question in QUERIES.items():
        lines += ["", f'{name}: Final = """', render(metrics, question).sql, '"""']
    return "\n".join(lines) + "\n"


def page(metrics: Metrics) -> str:
    """docs/metrics.md: every metric by mart."""
    lines = [
        "# Metrics", "",
        "Written by `python -m metrics` from `dbt/metrics.yml`, which is the one place where they are defined: change that, not this.",
        "Why each means what it means is in [decisions.md](decisions.md). A ratio is the quotient of its two sums at whatever grain is",
        "asked for, never an average of daily ratios; it is NULL where there is nothing to divide by.",
    ]  # fmt: skip
    marts: dict[str, list[Metric]] = {}
    for metric in metrics.by_name.values():
        marts.setdefault(metric.mart, []).append(metric)
    for mart, of_mart in marts.items():
        first = of_mart[0]
        said = [f"owner: {first.owner}", f"time: `{first.time}`" if first.time else "no time: as of the last build"]
        if first.dimensions:
            said.append(f"dimensions: {', '.join(f'`{name}`' for name in first.dimensions)}")
        lines += [
            "",
            f"## {mart}",
            "",
            f"{'; '.join(said)}.",
            "",
            "| metric | what it is | made of | unit | decision |",
            "|---|---|---|---|---|",
        ]
        for metric in of_mart:
            lines.append(
                f"| `{metric.name}` | {metric.description}{_needs(metric)} | {_made_of(metric)} | {metric.unit} | {metric.decision} |"
            )
    return "\n".join(lines) + "\n"


def _made_of(metric: Metric) -> str:
    if metric.parts:
        return f"`{metric.parts[0].name}` / `{metric.parts[1].name}`"
    return f"`{metric.expression}`"


def _needs(metric: Metric) -> str:
    return f" Per {', '.join(f'`{name}`' for name in sorted(metric.requires))}." if metric.requires else ""
