"""Rules of the dbt project, read from its manifest: no server is asked."""

import json
import re
from typing import Any

import pytest

from pipelines.lib.manifest import PROJECT, ensure_manifest

MANIFEST: dict[str, Any] = json.loads(ensure_manifest().read_bytes())
MODELS = {node["name"]: node for node in MANIFEST["nodes"].values() if node["resource_type"] == "model"}
MARTS = {name: model for name, model in MODELS.items() if model["fqn"][1] == "marts"}
CAPTURED = {
    f"stg_{source['source_name'].removeprefix('raw_')}__{source['name']}": source["unique_id"]
    for source in MANIFEST["sources"].values()
    if source["source_name"] != "raw_millrace"
}


def code_of(model: dict[str, Any]) -> str:
    """SQL without comments."""
    return re.sub(r"--.*", "", str(model["raw_code"]))


def test_marts_are_those_that_were_promised() -> None:
    assert set(MARTS) == {"fct_orders", "fct_order_items", "dim_customers", "dim_products", "rpt_revenue_daily"}


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
    strategies = {
        name: model["config"].get("incremental_strategy")
        for name, model in MODELS.items()
        if model["config"]["materialized"] == "incremental"
    }
    assert strategies == {"fct_orders": "insert_overwrite", "fct_order_items": "insert_overwrite"}


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
    assert [column for column, kind in types.items() if "Float" in kind or "LowCardinality" in kind] == []
    assert [column for column, kind in types.items() if "DateTime" in kind and "'UTC'" not in kind] == []


def test_no_direct_identifier_reaches_a_mart() -> None:
    columns = {column for mart in MARTS.values() for column in mart["columns"]}
    assert columns & {"email", "full_name", "line1", "line2", "postal_code", "city"} == set()


def test_every_fact_is_reconciled_with_staging() -> None:
    tests = {node["name"] for node in MANIFEST["nodes"].values() if node["resource_type"] == "test"}
    assert {f"assert_{name}_equals_staging" for name in MARTS if name.startswith("fct_")} <= tests


def test_the_manifest_holds_no_password() -> None:
    written = [path for path in (PROJECT / "target").glob("*.*") if path.suffix in (".json", ".msgpack")]
    assert written
    assert [path.name for path in written if b"not-used-by-parse" in path.read_bytes()] == []
