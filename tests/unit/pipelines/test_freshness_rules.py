"""Which asset may be how far behind, and what is said of it."""

import json

import dagster as dg
import pytest

from pipelines.defs.freshness.checks import followed_keys, limits, verdict
from pipelines.lib.captured import search_indexes
from pipelines.lib.engine import Behind
from pipelines.lib.feeding import fed_marts
from pipelines.lib.manifest import ensure_manifest
from pipelines.lib.policies import Policy, UnknownAssetError, late_after, refuse_unknown

ORDERS = dg.AssetKey(["raw_orders", "orders"])


def test_the_last_line_that_fits_holds() -> None:
    lines = [Policy("raw_*/*", 60), Policy("raw_orders/*", 30), Policy("analytics/*", 5)]
    assert late_after(ORDERS, lines) == 30
    assert late_after(dg.AssetKey(["raw_users", "users"]), lines) == 60
    assert late_after(dg.AssetKey(["topics", "x"]), lines) is None


def test_a_line_that_fits_nothing_is_refused() -> None:
    with pytest.raises(UnknownAssetError, match="raw_order/"):
        refuse_unknown([ORDERS], [Policy("raw_order/*", 30)])


def test_every_hop_has_a_policy() -> None:
    assert set(limits()) == set(followed_keys())
    assert {key.path[0] for key in limits()} >= {"topics", "raw_orders", "indexes", "analytics"}


def test_every_mart_that_says_when_it_was_built_is_followed_to_its_raw_tables() -> None:
    manifest = json.loads(ensure_manifest().read_bytes())
    marts = {
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["fqn"][1] == "marts" and "_loaded_at" in node["columns"]
    }
    found = {fed.mart: fed for fed in fed_marts()}
    assert marts - set(found) == {"ops_cdc_latency", "ops_quality", "ops_warehouse_cost"}, (
        "these look at the platform, not at the shop"
    )
    assert found["fct_orders"].raw == (
        ("raw_orders", "order_items"),
        ("raw_orders", "orders"),
        ("raw_payments", "payments"),
    )
    assert found["fct_orders"].incremental and not found["rpt_revenue_daily"].incremental
    assert ("raw_clickstream", "events") in found["fct_sessions"].raw


def test_late_is_further_behind_than_allowed_or_not_followed_at_all() -> None:
    assert verdict(ORDERS, Behind(30.0, 2), 30.0).passed
    late = verdict(ORDERS, Behind(30.1, 2), 30.0)
    assert not late.passed and late.metadata["records_waiting"].value == 2
    stopped = verdict(ORDERS, Behind(0.0, 0, "parked: a column is gone"), 30.0)
    assert not stopped.passed and stopped.description == "parked: a column is gone"
    never = verdict(ORDERS, Behind(float("inf")), 30.0)
    assert not never.passed and "behind_s" not in never.metadata


def test_an_index_hangs_on_the_topics_of_every_table_that_it_shows() -> None:
    (products,) = search_indexes()
    assert products.key == ["indexes", "products"]
    assert products.topics == tuple(
        f"products.public.{table}" for table in ("categories", "prices", "products", "stock")
    )
