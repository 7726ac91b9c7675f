"""The lineage of the project as it is, from the services' columns to metrics, documents and tiles."""

import json
from functools import cache

import pytest
from typer.testing import CliRunner

from lineage.breaks import breaks, declared
from lineage.compiled import Project, project
from lineage.documents import indexed
from lineage.graph import Graph, UnknownColumn, build
from lineage.tiles import drawn
from lineage.tree import kind, tree
from metrics.contracts import contracts
from metrics.definitions import load
from stack.commands.lineage import app

OF_NO_COLUMN = {
    "analytics.fct_funnel_daily.step",
    "analytics.fct_funnel_daily.step_number",
    "analytics.fct_ledger_entries.side",
    *(f"analytics.mart_test_results.{name}" for name in ("*", "at", "found", "status", "test")),
    "analytics.ops_cdc_latency.source",
    "analytics.ops_cdc_latency.table_name",
    "analytics.ops_quality.is_undecided",
    "analytics.ops_quality.kind",
}
"""Columns of constants: a step of the funnel, a side of the ledger, the name of a table; and what dbt notes of its own tests."""


@cache
def whole() -> tuple[Project, Graph]:
    known = project()
    return known, build(known, load(contracts()).by_name.values(), [*indexed(), *drawn()])


def test_everything_is_resolved() -> None:
    assert whole()[1].unresolved == {}


def test_what_hangs_on_the_total_of_an_order() -> None:
    reached = whole()[1].reached("orders.public.orders.total")
    assert {
        "staging.stg_orders__orders.total",
        "intermediate.int_orders.gross_revenue",
        "analytics.fct_orders.net_revenue",
        "analytics.rpt_revenue_daily.gross_revenue",
        "analytics.rpt_settlement_reconciliation.owed",
        "metric.average_order_value",
        "metric.net_revenue",
    } <= reached
    assert not reached & {"metric.orders", "metric.units", "analytics.fct_orders.captured", "metric.conversion_rate"}


def test_what_decides_rows_reaches_what_is_counted() -> None:
    reached = whole()[1].reached("orders.public.orders.status")
    assert {
        "metric.orders",
        "metric.conversion_rate",
        "metric.retention_rate",
        "analytics.dim_products.units_sold",
    } <= reached


def test_where_net_revenue_comes_from() -> None:
    above = whole()[1].reached("analytics.rpt_revenue_daily.net_revenue", upwards=True)
    assert {name for name in above if kind(name) == "service"} == {
        "orders.public.orders.status", "orders.public.orders.total", "payments.public.payments.amount",
        "payments.public.payments.refunded", "payments.public.payments.status",
    }  # fmt: skip


def test_documents_are_read_from_columns() -> None:
    assert "index.products.price.amount" in whole()[1].reached("products.public.prices.amount")
    assert "index.products.category.parent.*" in whole()[1].reached("products.public.categories.parent_id")


def test_a_tile_hangs_on_what_it_is_drawn_from() -> None:
    graph = whole()[1]
    reached = graph.reached("orders.public.orders.total")
    assert {"tile.sales.revenue-over-time", "tile.customers.lifetime-value", "tile.sales.net-revenue"} <= reached
    assert not reached & {"tile.inventory.movements", "tile.search.words", "tile.sales.visits-to-orders"}
    above = graph.reached("tile.inventory.running-out", upwards=True)
    assert {"products.public.products.name", "products.public.stock.available"} <= above
    assert "tile.inventory.running-out" in graph.reached("analytics.dim_products.status")  # by a filter alone


def test_every_tile_and_what_it_asks_for_is_in_the_graph() -> None:
    graph, pairs = whole()[1], list(drawn())
    assert len({tile for tile, _ in pairs}) == 56
    made = {source for _, source in pairs}
    assert {
        name for name in made if not graph.reached(name, upwards=True) and not name.startswith("analytics.")
    } == set()
    assert {name for name in made if kind(name) not in ("mart", "metric")} == set()


def test_every_column_of_a_mart_and_every_metric_comes_from_somewhere() -> None:
    graph = whole()[1]
    made = {name for name in graph.names if kind(name) in ("mart", "metric") and not name.endswith("._loaded_at")}
    roots = {"service", "raw"}
    without = {name for name in made if not roots & {kind(one) for one in graph.reached(name, upwards=True)}}
    assert without == OF_NO_COLUMN


def test_every_mart_column_of_a_contract_is_in_the_graph() -> None:
    promised = {f"analytics.{mart}.{column}" for mart, columns in contracts().items() for column in columns}
    assert promised - whole()[1].names == set()


def test_a_column_is_opened_once_in_a_tree() -> None:
    shown = list(tree(whole()[1], "orders.public.orders.status", upwards=False).all())
    opened = [one.name for one in shown if not one.told_above]
    again = {one.name for one in shown if one.told_above}
    assert again and again <= set(opened)
    assert {one.name for one in shown} == whole()[1].reached("orders.public.orders.status") | {shown[0].name}


def test_an_unknown_column_is_answered_with_near_ones() -> None:
    with pytest.raises(UnknownColumn, match=r"called orders.public.order.total; near: orders\.public\.orders\.total, "):
        whole()[1].named("orders.public.order.total")
    with pytest.raises(UnknownColumn, match=r"write orders\.public\.orders\.total"):
        whole()[1].named("~")


def test_the_command_prints_a_tree_or_a_document() -> None:
    shown = CliRunner().invoke(app, ["analytics.rpt_revenue_daily.net_revenue"]).output
    assert shown.index("comes from:") < shown.index("orders.public.orders.total") < shown.index("hangs on it:")
    assert "└── metric.net_revenue" in shown
    document = json.loads(CliRunner().invoke(app, ["metric.net_revenue", "--json"]).output)
    tiles = [(one["kind"], one["name"]) for one in document["hangs_on_it"]["branches"]]
    assert tiles == [("tile", "tile.sales.net-revenue"), ("tile", "tile.sales.revenue-over-time")]
    assert [one["kind"] for one in document["comes_from"]["branches"]] == ["mart", "mart"]
    assert document["unresolved"] == {}


def test_a_column_that_is_dropped_or_retyped_is_told_with_what_needs_it() -> None:
    known, graph = whole()
    promised = declared(known)
    assert breaks(graph, promised, promised) == []
    found = {table: dict(columns) for table, columns in promised.items()}
    del found["orders.public.orders"]["total"]
    found["products.public.stock"]["available"] = "bigint"
    total, available = breaks(graph, promised, found)
    assert total.startswith("orders.public.orders.total is gone; needed by analytics.customer_cohorts.gross_revenue, ")
    assert "metric.net_revenue" in total and "staging" not in total
    assert available == (
        "products.public.stock.available is bigint, not integer; needed by "
        "analytics.dim_products.units_available, index.products.stock.available, "
        "tile.inventory.best-sellers, tile.inventory.running-out"
    )


def test_every_table_of_a_service_declares_its_columns() -> None:
    """Reason: what a migration may not take away is only known of columns that are declared."""
    without = [source.table for source in whole()[0].sources if not source.types]
    assert without == [
        "raw_clickstream.events",
        "raw_millrace.batch_watermark",
        "raw_millrace.proofs",
        "clickhouse.query_log",
    ], "no service's table; made by the platform"
