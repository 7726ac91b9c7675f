"""The code location as it loads: its assets, its checks, and what loading costs."""

import json
import os
import subprocess
import sys

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
    assert len(tables) == 11
    assert tables | topics <= set(loaded["assets"])
    marts = {"dim_customers", "dim_products", "fct_order_items", "fct_orders", "rpt_revenue_daily"}
    assert {name.removeprefix("analytics/") for name in loaded["assets"] if name.startswith("analytics/")} == marts
    layers = {name.split("/")[0] for name in loaded["executable"]}
    assert layers == {"staging", "intermediate", "analytics"}


def test_every_captured_table_is_reconciled(loaded: dict[str, list[str]]) -> None:
    expected = {f"raw_{table.source}/{table.name}:equals_postgres" for table in captured_tables()}
    assert expected <= set(loaded["checks"])


def test_every_dbt_test_is_a_check_of_an_asset_that_exists(loaded: dict[str, list[str]]) -> None:
    manifest = json.loads(ensure_manifest().read_bytes())
    tests = [node for node in manifest["nodes"].values() if node["resource_type"] == "test"]
    of_dbt = [check for check in loaded["checks"] if not check.endswith(":equals_postgres")]
    assert len(of_dbt) == len(tests)
    assert {check.split(":")[0] for check in loaded["checks"]} <= set(loaded["assets"])


def test_schedules_wait_to_be_turned_on(loaded: dict[str, object]) -> None:
    assert loaded["jobs"] == ["everything", "observe_lag"]
    assert loaded["schedules"] == {"everything_schedule": "STOPPED", "observe_lag_schedule": "STOPPED"}
