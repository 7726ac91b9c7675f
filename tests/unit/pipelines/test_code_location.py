"""The code location as it loads: its assets, its checks, and what loading costs."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from pipelines.lib.captured import captured_tables
from pipelines.lib.manifest import PROJECT, ensure_manifest

LOAD = """
import json, resource
from pipelines.definitions import defs
repository = defs.get_repository_def()
graph = repository.asset_graph
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({
    "cpu": used.ru_utime + used.ru_stime,
    "assets": sorted("/".join(key.path) for key in graph.get_all_asset_keys()),
    "executable": sorted("/".join(key.path) for key in graph.executable_asset_keys),
    "checks": sorted(f"{'/'.join(key.asset_key.path)}:{key.name}" for key in graph.asset_check_keys),
    "jobs": sorted(job.name for job in repository.get_all_jobs() if not job.name.startswith("__")),
    "schedules": {schedule.name: schedule.default_status.value for schedule in repository.schedule_defs},
    "sensors": {sensor.name: sensor.default_status.value for sensor in repository.sensor_defs},
    "owners": {"/".join(key.path): list(graph.get(key).owners) for key in graph.get_all_asset_keys()},
}))
"""
CPU_SECONDS = 5.0


@pytest.fixture(scope="module")
def loaded() -> dict[str, object]:
    """What a fresh interpreter finds, without a single address in its environment."""
    ensure_manifest()
    addresses = ("_DSN", "_URL", "_PASSWORD", "_BOOTSTRAP")
    bare = {key: value for key, value in os.environ.items() if not key.endswith(addresses) and key != "DAGSTER_HOME"}
    ran = subprocess.run(
        [sys.executable, "-c", LOAD], cwd=PROJECT.parent, env=bare, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, object] = json.loads(ran.stdout)
    return found


def test_loading_stays_within_its_budget(loaded: dict[str, float]) -> None:
    assert loaded["cpu"] < CPU_SECONDS


def test_the_graph_goes_from_topics_to_marts(loaded: dict[str, list[str]]) -> None:
    tables = {f"raw_{table.source}/{table.name}" for table in captured_tables()}
    topics = {f"topics/{table.topic}" for table in captured_tables()}
    assert len(tables) == 16
    assert tables | topics <= set(loaded["assets"])
    assert "raw_clickstream/events" in loaded["assets"]
    marts = {name for name in loaded["assets"] if name.startswith("analytics/")}
    assert {"analytics/fct_orders", "analytics/rpt_revenue_daily", "analytics/fct_sessions"} <= marts
    layers = {name.split("/")[0] for name in loaded["executable"]}
    assert layers == {"staging", "intermediate", "analytics"}


def test_every_captured_table_is_reconciled(loaded: dict[str, list[str]]) -> None:
    expected = {f"raw_{table.source}/{table.name}:equals_postgres" for table in captured_tables()}
    assert expected <= set(loaded["checks"])


def test_every_dbt_test_is_a_check_of_an_asset_that_exists(loaded: dict[str, list[str]]) -> None:
    manifest = json.loads(ensure_manifest().read_bytes())
    tests = [node for node in manifest["nodes"].values() if node["resource_type"] == "test"]
    ours = (":equals_postgres", ":equals_source", ":fresh", ":meets_expectations")
    of_dbt = [check for check in loaded["checks"] if not check.endswith(ours)]
    assert len(of_dbt) == len(tests)
    assert {check.split(":")[0] for check in loaded["checks"]} <= set(loaded["assets"])


def test_schedules_and_sensors_wait_to_be_turned_on(loaded: dict[str, Any]) -> None:
    assert loaded["jobs"] == [
        "daily_marts",
        "erasure_requests",
        "event_log_retention",
        "everything",
        "expectations",
        "freshness",
        "marts_build",
        "nightly_verification",
        "observe_lag",
        "search_reindex",
    ]
    on_demand = {"erasure_requests", "marts_build", "search_reindex", "daily_marts"}
    scheduled = {f"{job}_schedule" for job in set(loaded["jobs"]) - on_demand} | {"days_that_grow"}
    assert loaded["schedules"] == dict.fromkeys(scheduled, "STOPPED")
    sensors = {"engine_problems", "failed_runs", "failing_checks", "new_data", "people_erased"}
    assert loaded["sensors"] == dict.fromkeys(sensors, "STOPPED")


def test_every_topic_copy_index_and_mart_has_an_owner_who_is_told(loaded: dict[str, Any]) -> None:
    owned = ("topics/", "raw_", "indexes/", "analytics/")
    without = [name for name, owners in loaded["owners"].items() if name.startswith(owned) and len(owners) != 1]
    assert set(without) == {"raw_clickstream/events", "raw_millrace/batch_watermark", "raw_millrace/proofs"}, (
        "what the platform says of itself"
    )


def test_the_file_that_is_loaded_stays_short() -> None:
    """Reason: it only lists; what a thing is stands in its domain."""
    assert len((PROJECT.parent / "pipelines" / "definitions.py").read_text().splitlines()) < 60
