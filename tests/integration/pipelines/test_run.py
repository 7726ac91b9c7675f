"""`python -m pipelines.run` and the location's ops on the running stack: green when equal, red when not, and honest."""

import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

from tests.integration.pipelines.conftest import Pipelines, Stack, clickhouse

ONLY_CHECKS = """
import json
import dagster as dg
from pipelines.definitions import defs
from pipelines.lib import failures
failures.ATTEMPTS = 0  # nobody waits here for a server that stays away
result = defs.resolve_job_def("everything").execute_in_process(
    op_selection=["reconcile_raw_tables"], raise_on_error=False, instance=dg.DagsterInstance.ephemeral()
)
checks = {"/".join(each.asset_key.path): each for each in result.get_asset_check_evaluations()}
print("OUTCOME" + json.dumps({
    "success": result.success,
    "checks": {table: check.passed for table, check in checks.items()},
    "shown": {table: str(check.metadata["differing_keys"].value) for table, check in checks.items()},
}))
"""
LAG = """
import json
import dagster as dg
from pipelines.definitions import defs
result = defs.resolve_job_def("observe_lag").execute_in_process(instance=dg.DagsterInstance.ephemeral())
seen = [event.event_specific_data.asset_observation for event in result.all_node_events if event.is_asset_observation]
print("OUTCOME" + json.dumps({"/".join(o.asset_key.path): {k: v.value for k, v in o.metadata.items()} for o in seen}))
"""
EXPECTATIONS = """
import json, sys
import dagster as dg
from pipelines.definitions import defs
result = defs.resolve_job_def("expectations").execute_in_process(
    raise_on_error=False, instance=dg.DagsterInstance.local_temp(sys.argv[1])
)
checks = {each.asset_key.path[-1]: each for each in result.get_asset_check_evaluations()}
print("OUTCOME" + json.dumps({
    "success": result.success,
    "checks": {mart: check.passed for mart, check in checks.items()},
    "unmet": {mart: check.metadata["unmet"].value for mart, check in checks.items()},
    "pages": sorted({check.metadata["data_docs"].value for check in checks.values()}),
}))
"""
RUN = """
query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }
"""
LAUNCH = """
mutation Launch {
  launchRun(executionParams: {selector: {
    repositoryLocationName: "pipelines", repositoryName: "__repository__", jobName: "everything"
  }}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
  }
}
"""


def outcome_of(pipelines: Pipelines, script: str, *arguments: str, **changed: str) -> Any:
    done = pipelines.command("-c", script, *arguments, **changed)
    assert "OUTCOME" in done.stdout, done.stderr
    return json.loads(done.stdout.split("OUTCOME")[1])


def test_everything_is_built_checked_and_shown_in_the_ui(pipelines: Pipelines) -> None:
    done = pipelines.command("-m", "pipelines.run", "--json")
    outcome = json.loads(done.stdout)
    assert outcome["failed"] == [] and done.returncode == 0
    assert outcome["materialized"] == 64
    assert outcome["checks"]["failed"] == 0 and outcome["checks"]["passed"] >= 130
    shown = httpx.post(
        pipelines.env["DAGSTER_URL"] + "/graphql",
        json={"query": RUN, "variables": {"id": outcome["run_id"]}},
    ).json()
    assert shown["data"]["runOrError"]["status"] == "SUCCESS"


def test_expectations_name_the_mart_that_does_not_meet_them(stack: Stack, pipelines: Pipelines, tmp_path: Path) -> None:
    prices = f"{pipelines.env['MILLRACE_ANALYTICS_DATABASE']}.dim_products"
    with clickhouse(stack) as client:
        client.command(f"ALTER TABLE {prices} UPDATE price = -1 WHERE 1 SETTINGS mutations_sync = 1")
    outcome = outcome_of(pipelines, EXPECTATIONS, str(tmp_path))
    assert {mart for mart, passed in outcome["checks"].items() if not passed} == {"dim_products"}
    (unmet,) = outcome["unmet"]["dim_products"]
    assert unmet.startswith("expect_column_values_to_be_between {'column': 'price'") and "100.0" in unmet
    (page,) = outcome["pages"]
    assert "dim_products" in Path(page).read_text()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert pipelines.env["CLICKHOUSE_DBT_PASSWORD"].encode() not in written


def test_the_lag_of_every_raw_table_is_observed(pipelines: Pipelines) -> None:
    lag = outcome_of(pipelines, LAG)
    assert len(lag) == 16
    assert lag["raw_orders/orders"]["versions"] and "ingest_lag_p99_ms" in lag["raw_orders/orders"]


@pytest.fixture
def row_that_nobody_wrote(stack: Stack) -> Iterator[str]:
    """An address in ClickHouse that PostgreSQL never had; hidden again by a tombstone."""
    address = str(uuid.uuid4())
    columns = ["id", "_version", "_deleted", "_committed_at", "_ingested_at", "_batch"]
    with clickhouse(stack, "cdc") as client:

        def write(version: int, deleted: int) -> None:
            now = datetime.now(UTC)
            row = [uuid.UUID(address), version, deleted, now, now, 0]
            client.insert("raw_users.addresses", [row], column_names=columns)

        write(1, 0)
        yield address
        write(2, 1)


def test_a_row_that_postgres_does_not_have_fails_its_check_by_name(
    pipelines: Pipelines, row_that_nobody_wrote: str
) -> None:
    outcome = outcome_of(pipelines, ONLY_CHECKS)
    assert [table for table, passed in outcome["checks"].items() if not passed] == ["raw_users/addresses"]
    assert row_that_nobody_wrote in str(outcome["shown"]["raw_users/addresses"])


def test_a_check_that_could_not_run_says_neither(pipelines: Pipelines) -> None:
    away = "postgresql://nobody:nothing@127.0.0.1:1/millrace"
    outcome = outcome_of(pipelines, ONLY_CHECKS, MILLRACE_STATE_DSN=away)
    assert not outcome["success"]
    assert outcome["checks"] == {}


@pytest.mark.long
def test_a_run_launched_from_the_ui_succeeds(stack: Stack, orders_placed: list[str]) -> None:
    assert orders_placed
    url = stack.env["DAGSTER_URL"] + "/graphql"
    launched = httpx.post(url, json={"query": LAUNCH}, timeout=60).json()["data"]["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    deadline = time.monotonic() + 240
    status = ""
    while status not in ("SUCCESS", "FAILURE", "CANCELED"):
        assert time.monotonic() < deadline, f"the run is still {status}"
        time.sleep(1)
        answer = httpx.post(url, json={"query": RUN, "variables": {"id": launched["run"]["runId"]}}, timeout=60)
        status = answer.json()["data"]["runOrError"]["status"]
    assert status == dg.DagsterRunStatus.SUCCESS.value
