"""The metrics' file as it is, and what it may not say."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from metrics.contracts import contracts
from metrics.definitions import PATH, load
from metrics.metric import MetricError
from metrics.written import ROOT, files

CONTRACTS = {
    "mart": {
        "day": "Date32", "currency": "String", "revenue": "Decimal(38, 2)", "orders": "UInt64", "share": "Float64",
        "average_value": "Nullable(Decimal(18, 2))",
    }
}  # fmt: skip


def write(folder: Path, *metrics: dict[str, Any], **mart: Any) -> Path:
    given = [{"label": "l", "description": "d", "unit": "count", "decision": "c"} | metric for metric in metrics]
    path = folder / "metrics.yml"
    path.write_text(yaml.safe_dump({"marts": {"mart": {"owner": "o", "metrics": given} | mart}}))
    return path


ORDERS = {"name": "orders", "expression": "sum(orders)"}


@pytest.mark.parametrize(
    ("metric", "refusal"),
    [
        ({"expression": "avg(orders)"}, "is no sum, count, uniqExact, min or max"),
        ({"expression": "sum(orders) / count()"}, "is no sum, count, uniqExact, min or max"),
        ({"expression": "sum(average_value)", "unit": "money"}, "average_value is a ratio"),
        ({"expression": "sum(currency)"}, "only a column of numbers can be summed"),
        ({"expression": "sum(turnover)"}, "mart has no column turnover"),
        ({"expression": "sum(revenue)"}, "revenue is Decimal(38, 2), and the unit is count"),
        ({"expression": "sum(orders)", "unit": "money"}, "orders is UInt64, and the unit is money"),
        ({"expression": "sum(max(orders))"}, "an aggregate within another"),
        ({"expression": "count("}, "cannot read the expression"),
        ({"expression": "countIf(orders in (select 1))"}, "is no sum, count, uniqExact, min or max"),
        ({"expression": "count()", "numerator": "orders", "denominator": "orders"}, "needs an expression, or"),
        ({}, "needs an expression, or a numerator and a denominator"),
        ({"numerator": "orders", "denominator": "visits"}, "visits is no metric of mart"),
        ({"expression": "count()", "requires": ["channel"]}, "requires channel, which is no dimension"),
        ({"expression": "count()", "unit": "euros"}, "unit"),
        ({"expression": "count()", "formula": "x"}, "formula: Extra inputs"),
        ({"name": "orders", "expression": "count()"}, "orders is defined twice"),
    ],
)
def test_a_definition_that_makes_no_sense_is_refused(tmp_path: Path, metric: dict[str, Any], refusal: str) -> None:
    path = write(tmp_path, ORDERS, {"name": "wrong"} | metric, dimensions=["currency"], time="day")
    with pytest.raises(MetricError, match=re.escape(refusal)) as refused:
        load(CONTRACTS, path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("mart", "refusal"),
    [
        ({"time": "orders"}, "mart.orders is UInt64: time is a date or a DateTime64"),
        ({"time": "moment"}, "mart has no column moment"),
        ({"dimensions": ["channel"]}, "mart has no column channel"),
        ({"dimensions": ["share"]}, "mart.share is a Float"),
    ],
)
def test_a_mart_that_does_not_fit_is_refused(tmp_path: Path, mart: dict[str, Any], refusal: str) -> None:
    with pytest.raises(MetricError, match=re.escape(refusal)):
        load(CONTRACTS, write(tmp_path, ORDERS, **mart))
    with pytest.raises(MetricError, match="there is no mart mart"):
        load({}, write(tmp_path, ORDERS))


def test_a_file_that_is_no_yaml_is_refused_in_one_line(tmp_path: Path) -> None:
    (path := tmp_path / "metrics.yml").write_text("marts: {a: ?, b")
    with pytest.raises(MetricError, match=r"metrics\.yml is no YAML: .*line 1"):
        load(CONTRACTS, path)


def test_the_metrics_fit_the_marts_and_the_decisions() -> None:
    metrics = load(contracts(), PATH)
    decided = re.findall(r"(?m)^\| ([^|]+?) \|", (ROOT / "docs" / "decisions.md").read_text())
    assert {metric.decision for metric in metrics.by_name.values()} - set(decided) == set()
    assert {
        "gross_revenue", "net_revenue", "refunds", "orders", "average_order_value", "units", "conversion_rate",
        "cart_abandonment_rate", "retention_rate", "repeat_rate", "zero_result_rate", "click_through_rate",
        "mean_reciprocal_rank", "stock_outs", "settlement_rate",
    } <= metrics.by_name.keys()  # fmt: skip


def test_money_is_never_added_over_currencies() -> None:
    money = [one for one in load(contracts()).by_name.values() if one.unit == "money" and "currency" in one.dimensions]
    assert money and [one.name for one in money if "currency" not in one.requires] == []


def test_what_is_made_of_the_metrics_is_checked_in() -> None:
    stale = [
        str(path.relative_to(ROOT)) for path, content in files(load(contracts())).items() if path.read_text() != content
    ]
    assert stale == [], "run `python -m metrics`"
