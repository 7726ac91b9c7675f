"""What a dashboard's file may not say: each fault in one line that names the file."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.faults import faults
from dashboards.files import ASSETS, DashboardError, read
from dashboards.marts import marts
from metrics.contracts import contracts
from metrics.definitions import load

METRICS = load(contracts())
MARTS = marts()
Change = Callable[[dict[str, Any]], Any]
BIG = "charts/sales/orders.yaml"
LINES = "charts/sales/average-order-value-over-time.yaml"
PAGE = "dashboards/sales.yaml"
NOBODY = "00000000-0000-0000-0000-000000000001"
DATASET = "datasets/rpt_revenue_daily.yaml"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files, to be spoiled."""
    for path in ASSETS.glob("**/*.yaml"):
        place = tmp_path / path.relative_to(ASSETS)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())
    return tmp_path


def spoil(folder: Path, name: str, change: Change) -> None:
    content = yaml.safe_load((folder / name).read_text())
    change(content)
    (folder / name).write_text(yaml.safe_dump(content))


def found(folder: Path) -> list[str]:
    return faults(read(folder), MARTS, METRICS)


def params(**more: Any) -> Change:
    return lambda chart: chart["params"].update(more)


def with_filter(**more: Any) -> Change:
    given = {"expressionType": "SIMPLE", "clause": "WHERE", "operator": "==", "comparator": "x"} | more
    return lambda chart: chart["params"]["adhoc_filters"].append(given)


SUM = {"expressionType": "SIMPLE", "aggregate": "SUM", "column": {"column_name": "orders"}, "label": "SUM(orders)"}
SQL = {"expressionType": "SQL", "sqlExpression": "sum(gross_revenue) / count()", "label": "per day"}
FORMULA = "a formula of its own ({}); define a metric in dbt/metrics.yml and ask for it by name"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (params(metrics=[SUM]), FORMULA.format("metrics: SUM(orders)")),
        (params(metrics=[SQL]), FORMULA.format("metrics: per day")),
        (params(timeseries_limit_metric=SQL), FORMULA.format("timeseries_limit_metric: per day")),
        (params(groupby=[{"expressionType": "SQL", "sqlExpression": "upper(currency)", "label": "big"}, "currency"]),
         FORMULA.format("groupby: big")),
        (params(x_axis={"sqlExpression": "day + 1", "label": "tomorrow"}), FORMULA.format("x_axis: tomorrow")),
        (with_filter(expressionType="SQL", sqlExpression="day > today()"), FORMULA.format("adhoc_filters: day > today()")),
        (with_filter(clause="HAVING", subject="orders"), FORMULA.format("adhoc_filters: HAVING")),
        (params(x_axis_sort="gross_revenue"), FORMULA.format("x_axis_sort: gross_revenue")),
        (params(contributionMode="row"), FORMULA.format("contributionMode")),
        (params(rolling_type="mean"), FORMULA.format("rolling_type")),
        (params(time_compare=["1 year ago"]), FORMULA.format("time_compare")),
        (params(resample_method="zerofill"), FORMULA.format("resample_method")),
        (params(forecastEnabled=True), FORMULA.format("forecastEnabled")),
        (params(annotation_layers=[{"annotationType": "FORMULA", "value": "y=1"}]), FORMULA.format("annotation_layers")),
        (params(metrics=["turnover"]), "rpt_revenue_daily has no metric turnover; dbt/metrics.yml defines them"),
        (params(metrics=["visits"]), "rpt_revenue_daily has no metric visits"),
        (params(metrics=[]), "it asks for nothing"),
        (params(groupby=["currency", "channel"]), "rpt_revenue_daily has no column channel"),
        (params(x_axis="week"), "rpt_revenue_daily has no column week"),
        (with_filter(subject="channel"), "rpt_revenue_daily has no column channel"),
        (params(groupby=[]), "average_order_value needs currency: group by it or hold it to one value"),
        (params(groupby=["currency", "units"]), "units is no dimension of rpt_revenue_daily; it has: currency, day"),
        (params(adhoc_filters=[]), "a page's range of time would not reach it: filter day by TEMPORAL_RANGE"),
        (params(viz_type="pie"), "params.viz_type is pie, not echarts_timeseries_line"),
    ],
)  # fmt: skip
def test_a_chart_that_could_not_be_drawn_or_defines_something_is_named(copy: Path, change: Change, fault: str) -> None:
    spoil(copy, LINES, change)
    lines = found(copy)
    assert [line for line in lines if re.search(re.escape(fault), line)], lines
    assert all(line.startswith(f"dashboards/assets/{LINES}: ") and "\n" not in line for line in lines)


def test_a_column_that_only_orders_a_table_is_held_against_the_mart(copy: Path) -> None:
    spoil(copy, "charts/inventory/best-sellers.yaml", params(order_by_cols=['["units", false]']))
    assert found(copy) == ["dashboards/assets/charts/inventory/best-sellers.yaml: dim_products has no column units"]


def test_a_wrong_column_is_told_once(copy: Path) -> None:
    spoil(copy, "charts/sales/orders-over-time.yaml", params(x_axis="dayy"))
    assert found(copy) == ["dashboards/assets/charts/sales/orders-over-time.yaml: rpt_revenue_daily has no column dayy"]


def test_a_kind_of_chart_that_nobody_can_read_is_refused(copy: Path) -> None:
    spoil(copy, LINES, lambda chart: chart.update(viz_type="pivot_table_v2"))
    assert found(copy) == [
        f"dashboards/assets/{LINES}: charts of the kind pivot_table_v2 are not known; "
        "teach dashboards/asked.py where they hold formulas"
    ]


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        (DATASET, lambda one: one["columns"][0].update(type="Date"), "rpt_revenue_daily.day is Date32, not Date"),
        (DATASET, lambda one: one["columns"].append(one["columns"][0] | {"column_name": "channel"}),
         "rpt_revenue_daily has no column channel"),
        (DATASET, lambda one: one.update(table_name="rpt_revenue"), "there is no mart rpt_revenue"),
        (DATASET, lambda one: one.update(database_uuid=NOBODY),
         "no file of databases/ has the uuid 00000000"),
        (BIG, lambda one: one.update(dataset_uuid=NOBODY),
         "no dataset has the uuid 00000000"),
        (BIG, lambda one: one.update(uuid=yaml.safe_load((ASSETS / LINES).read_text())["uuid"]),
         f"its uuid is that of dashboards/assets/{LINES}"),
        (PAGE, lambda one: one["position"].pop("CHART-orders"), "ROW-1 holds CHART-orders, which is not there"),
        (PAGE, lambda one: one["position"].pop("CHART-orders"), "charts/sales/orders.yaml: it is on no dashboard"),
        (PAGE, lambda one: one["position"]["CHART-orders"]["meta"].update(uuid=NOBODY),
         "no chart has the uuid 00000000"),
        (PAGE, lambda one: one.update(slug="revenue"), "its slug is revenue; name the file like it"),
        (PAGE, lambda one: one.update(slug="search"), "another dashboard has the slug search too"),
        (PAGE, lambda one: one["metadata"]["native_filter_configuration"][1]["targets"][0].update(column={"name": "month"}),
         "the filter Grain: rpt_revenue_daily has no column month"),
        (PAGE, lambda one: one["metadata"]["native_filter_configuration"][1]["targets"][0].update(datasetUuid=NOBODY),
         "the filter Grain asks a dataset that is not there"),
        ("databases/marts.yaml", lambda one: one.update(sqlalchemy_uri="clickhousedb://dashboards:secret@127.0.0.1:1/analytics"),
         "the password is written out; write ${CLICKHOUSE_<USER>_PASSWORD}"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit_together_are_named(copy: Path, name: str, change: Change, fault: str) -> None:
    spoil(copy, name, change)
    lines = found(copy)
    assert [line for line in lines if re.search(re.escape(fault), line)], lines


def test_a_column_that_a_mart_lost_is_named_with_each_chart_that_needs_it(copy: Path) -> None:
    """The dataset is written anew without it, and the charts are what is left to correct."""
    spoil(copy, DATASET, lambda one: one["columns"].pop(1))
    lines = [line.split(": ")[0].rsplit("/", 1)[1] for line in found(copy) if line.endswith("has no column currency")]
    assert lines == [
        "average-order-value-over-time.yaml", "average-order-value.yaml", "net-revenue.yaml", "refund-rate.yaml",
        "refunds-over-time.yaml", "revenue-over-time.yaml",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "change", "refusal"),
    [
        (DATASET, lambda one: one.update(sql="select 1"), "sql: Extra inputs are not permitted"),
        (DATASET, lambda one: one["columns"][0].update(expression="day + 1"), "columns.0.expression: Extra inputs"),
        (DATASET, lambda one: one.update(fetch_values_predicate="1"), "fetch_values_predicate: Extra inputs"),
        (DATASET, lambda one: one.update(schema="staging"), "schema: Input should be 'analytics'"),
        (PAGE, lambda one: one.pop("slug"), "slug: Field required"),
        (PAGE, lambda one: one["position"]["CHART-orders"].pop("meta"),
         "position: Value error, CHART-orders is no tile with the uuid of a chart and a chartId"),
        (PAGE, lambda one: one["metadata"]["native_filter_configuration"][1]["targets"][0].update(datasetUuid="sales"),
         "metadata: Value error, the filter Grain asks no dataset with a uuid"),
        (LINES, lambda one: one["params"]["adhoc_filters"][0].pop("subject"),
         "params: Value error, a filter in adhoc_filters names no column"),
        ("charts/inventory/best-sellers.yaml", params(order_by_cols=["units_sold"]),
         'params: Value error, order_by_cols holds units_sold; write ["column", true]'),
        ("databases/marts.yaml", lambda one: one.update(allow_dml=True), "allow_dml: Input should be False"),
    ],
)  # fmt: skip
def test_what_superset_would_take_and_we_do_not_is_refused(copy: Path, name: str, change: Change, refusal: str) -> None:
    spoil(copy, name, change)
    with pytest.raises(DashboardError, match=re.escape(f"dashboards/assets/{name}: {refusal}")):
        read(copy)


@pytest.mark.parametrize(("text", "refusal"), [("a: [", "is no YAML: "), ("- a", "is no mapping of names to values")])
def test_a_file_that_cannot_be_read_is_named_in_one_line(copy: Path, text: str, refusal: str) -> None:
    (copy / PAGE).write_text(text)
    with pytest.raises(DashboardError, match=re.escape(f"dashboards/assets/{PAGE} {refusal}")) as refused:
        read(copy)
    assert "\n" not in str(refused.value)
