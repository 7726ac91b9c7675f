"""Rules of the dbt project, read from its manifest: no server is asked."""

import json
import re
from typing import Any

import pytest

from pipelines.lib.manifest import PROJECT, ensure_manifest

MANIFEST: dict[str, Any] = json.loads(ensure_manifest().read_bytes())
MODELS = {node["name"]: node for node in MANIFEST["nodes"].values() if node["resource_type"] == "model"}
MARTS = {name: model for name, model in MODELS.items() if model["fqn"][1] == "marts"}
DOMAINS = {
    "calendar": {"dim_dates"},
    "catalogue": {"dim_categories", "dim_prices_history", "dim_products", "dim_products_history"},
    "customers": {"customer_cohorts", "customer_rfm", "dim_customers", "rpt_retention"},
    "inventory": {"fct_inventory_daily", "fct_inventory_movements"},
    "operations": {"ops_cdc_latency", "ops_quality", "ops_warehouse_cost"},
    "payments": {
        "dim_accounts", "fct_ledger_entries", "fct_payments", "fct_refunds", "rpt_settlement_reconciliation"
    },
    "sales": {"fct_order_items", "fct_order_status_changes", "fct_orders", "rpt_revenue_daily"},
    "search": {"fct_search_clicks", "fct_searches", "rpt_search_quality_daily", "rpt_search_queries_daily"},
    "sessions": {"fct_cart_events", "fct_funnel_daily", "fct_sessions"},
}  # fmt: skip
FACTS = {name for name, model in MARTS.items() if model["config"]["materialized"] == "incremental"}
SHARES = re.compile(r"_rate(_top_5)?$|_rank$|_position$|^retention$|^of_|_seconds$|^days_of_cover$")
"""Columns that may be floats: shares, means and durations. Nobody adds them up."""
CAPTURED = {
    f"stg_{source['source_name'].removeprefix('raw_')}__{source['name']}": source["unique_id"]
    for source in MANIFEST["sources"].values()
    if source["source_name"] not in ("raw_millrace", "clickhouse")
}


def code_of(model: dict[str, Any]) -> str:
    """SQL without comments."""
    return re.sub(r"--.*", "", str(model["raw_code"]))


def test_marts_are_those_that_were_promised() -> None:
    assert {domain: {name for name, mart in MARTS.items() if mart["fqn"][2] == domain} for domain in DOMAINS} == DOMAINS


def test_every_captured_table_has_a_staging_view() -> None:
    without = [name for name, source in CAPTURED.items() if source not in MODELS[name]["depends_on"]["nodes"]]
    assert without == []


def test_only_staging_reads_sources() -> None:
    """Reason: tombstones and old versions are hidden in one place. There is no list of exceptions."""
    readers = {
        name
        for name, model in MODELS.items()
        if any(node.startswith("source.") for node in model["depends_on"]["nodes"])
    }
    assert {name for name in readers if MODELS[name]["fqn"][1] != "staging"} == set()


def test_final_is_written_by_one_macro() -> None:
    """Reason: an aggregate without FINAL freezes doubled rows, and FINAL elsewhere hides who forgot it."""
    files = [*PROJECT.glob("macros/**/*.sql"), *PROJECT.glob("models/**/*.sql"), *PROJECT.glob("tests/**/*.sql")]
    sql = {path.name: re.sub(r"--.*", "", re.sub(r"(?s)\{#.*?#\}", "", path.read_text())) for path in files}
    assert [name for name, text in sql.items() if re.search(r"(?i)\bfinal\b", text)] == ["latest_rows.sql"]
    views = [name for name in CAPTURED if "latest_rows" not in code_of(MODELS[name])]
    assert views == []


def test_delete_and_insert_is_banned() -> None:
    """Reason: the lightweight delete goes on after dbt has failed and empties windows in silence."""
    strategies = {name: MODELS[name]["config"].get("incremental_strategy") for name in FACTS}
    assert strategies == dict.fromkeys(FACTS, "insert_overwrite")
    assert len(FACTS) == 6


@pytest.mark.parametrize("name", sorted(MARTS))
def test_a_mart_is_ordered_contracted_and_described(name: str) -> None:
    mart = MARTS[name]
    assert mart["config"].get("order_by"), "without order_by there is no index"
    assert mart["config"]["contract"]["enforced"]
    assert mart["description"]
    assert [column["name"] for column in mart["columns"].values() if not column["description"]] == []


@pytest.mark.parametrize("name", sorted(MARTS))
def test_money_is_decimal_and_time_has_a_zone(name: str) -> None:
    types = {column["name"]: column["data_type"] for column in MARTS[name]["columns"].values()}
    floats = {column for column, kind in types.items() if "Float" in kind}
    assert {column for column in floats if not SHARES.search(column)} == set()
    assert [column for column, kind in types.items() if "LowCardinality" in kind] == []
    assert [column for column, kind in types.items() if "DateTime" in kind and "'UTC'" not in kind] == []


def test_no_direct_identifier_reaches_a_mart() -> None:
    columns = {column for mart in MARTS.values() for column in mart["columns"]}
    assert columns & {"email", "full_name", "line1", "line2", "postal_code", "city"} == set()


def test_every_incremental_fact_is_reconciled_with_staging() -> None:
    """Reason: only what is kept from run to run can drift; a table is its own query."""
    tests = {node["name"] for node in MANIFEST["nodes"].values() if node["resource_type"] == "test"}
    assert {f"assert_{name}_equals_staging" for name in FACTS} <= tests


def test_the_manifest_holds_no_password() -> None:
    written = [path for path in (PROJECT / "target").glob("*.*") if path.suffix in (".json", ".msgpack")]
    assert written
    assert [path.name for path in written if b"not-used-by-parse" in path.read_bytes()] == []


def test_every_model_is_described() -> None:
    """Reason: a view of staging is read by whoever writes the next mart."""
    assert [name for name, model in MODELS.items() if not model["description"]] == []


def test_every_mart_is_tested_for_its_key() -> None:
    """Reason: a join that doubles rows doubles money, and every identity within a row still holds."""
    tests = [node for node in MANIFEST["nodes"].values() if node["resource_type"] == "test"]
    keyed = {
        node["attached_node"]
        for node in tests
        if (node.get("test_metadata") or {}).get("name") in ("unique", "unique_key")
    }
    assert [name for name, mart in MARTS.items() if mart["unique_id"] not in keyed] == []


def test_staging_names_its_columns() -> None:
    """Reason: a column that a service drops fails at its own view, and what hangs on a column can be told."""
    stars = [name for name, model in MODELS.items() if model["fqn"][1] == "staging" and "*" in code_of(model)]
    assert stars == []


def test_marts_are_read_through_each_other_or_intermediates() -> None:
    """Reason: a view of old versions and tombstones counts rows that are none; only windows and latency may read one."""
    allowed = {
        "fct_orders",
        "fct_order_items",
        "fct_payments",
        "fct_ledger_entries",
        "fct_inventory_movements",
        "ops_cdc_latency",
    }
    versions = {
        model["unique_id"]
        for name, model in MODELS.items()
        if name.endswith("_changes") or name == "stg_millrace__copied_rows"
    }
    versions.discard(MODELS["stg_products__price_changes"]["unique_id"])
    readers = {name for name, model in MODELS.items() if versions & set(model["depends_on"]["nodes"])}
    assert readers == allowed


def test_every_mart_has_an_owner_and_may_be_read_by_all() -> None:
    owners = {group["name"]: group["owner"]["name"] for group in MANIFEST["groups"].values()}
    assert set(owners) == set(DOMAINS) and all(owners.values())
    assert {name: mart["config"]["group"] for name, mart in MARTS.items()} == {
        name: domain for domain, names in DOMAINS.items() for name in names
    }
    assert {mart["config"]["access"] for mart in MARTS.values()} == {"public"}


def test_what_lies_between_has_an_owner_and_stays_within_the_project() -> None:
    """Reason: it may change from run to run; what others may build upon has a contract."""
    between = {name: model["config"] for name, model in MODELS.items() if model["fqn"][1] == "intermediate"}
    assert {config["access"] for config in between.values()} == {"protected"}
    assert {name: config["group"] for name, config in between.items()} == {
        name: MODELS[name]["fqn"][2] for name in between
    }
