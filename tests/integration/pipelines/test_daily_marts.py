"""Marts that are a day each: any day can be built again alone, equals its source, and survives what its source forgets."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import dagster as dg
import httpx
import pytest

from pipelines.defs.warehouse.daily import DAYS_IN_A_RUN, days_arguments
from pipelines.defs.warehouse.marts import DAILY
from tests.integration.dbt.warehouse import Warehouse
from tests.integration.pipelines.conftest import Stack, clickhouse
from tests.integration.pipelines.location import Location, settings

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
MART = dg.AssetKey(["analytics", "ops_warehouse_cost"])
FIRST = date(2026, 2, 1)
BACKFILL = """
mutation Backfill($days: [String!]!) {
  launchPartitionBackfill(backfillParams: {
    assetSelection: [{path: ["staging", "stg_clickhouse__queries"]}, {path: ["analytics", "ops_warehouse_cost"]}],
    partitionNames: $days
  }) { __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } }
}
"""
PROGRESS = """
query Backfill($id: String!) {
  partitionBackfillOrError(backfillId: $id) { __typename ... on PartitionBackfill { status } }
}
"""


class Log:
    """A log of statements like ClickHouse's own, in a database of the test's."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse, self.table = warehouse, f"{warehouse.database}_log.query_log"
        warehouse.client.command(f"create database {warehouse.database}_log")
        warehouse.client.command(
            f"create table {self.table} as system.query_log engine = MergeTree partition by event_date order by event_time"
        )

    def statements(self, day: date, count: int) -> None:
        """So many statements of a model, ten milliseconds each, at noon of the day."""
        self.warehouse.client.command(
            f"""
            insert into {self.table} (
                type, event_date, event_time, query_id, query, log_comment, is_initial_query, query_duration_ms, read_rows, user
            )
            select 'QueryFinish', '{day}', toDateTime('{day} 12:00:00', 'UTC'), toString(generateUUIDv4()),
                '/* {{"app": "dbt", "job": "everything", "node": "model.millrace.fct_orders", "run": "r"}} */ select 1',
                '{{"app": "dbt"}}', 1, 10, 100, 'dbt'
            from numbers({count})
            """
        )

    def forget(self, day: date) -> None:
        self.warehouse.client.command(f"alter table {self.table} drop partition '{day}'")


@pytest.fixture
def log(warehouse: Warehouse) -> Iterator[Log]:
    made = Log(warehouse)
    with settings({"MILLRACE_QUERY_LOG_DATABASE": f"{warehouse.database}_log"}):
        yield made
    warehouse.client.command(f"drop database {warehouse.database}_log")


def build(warehouse: Warehouse, first: date, last: date) -> None:
    """The days, both ends among them, by the call that a run of the location makes."""
    begin, end = (datetime.combine(day, datetime.min.time(), UTC) for day in (first, last + timedelta(days=1)))
    warehouse.run(*days_arguments(dg.TimeWindow(begin, end)), "--select", DAILY)


def held(warehouse: Warehouse) -> dict[date, tuple[int, int]]:
    rows = warehouse.rows("select day, sum(statements), sum(milliseconds) from {db}.ops_warehouse_cost group by day")
    return {day: (statements, milliseconds) for day, statements, milliseconds in rows}


def test_days_are_built_alone_again_and_kept_when_their_log_is_forgotten(warehouse: Warehouse, log: Log) -> None:
    days = [FIRST + timedelta(days=number) for number in range(5)]
    for number, day in enumerate(days):
        if day != days[3]:
            log.statements(day, number + 1)
    build(warehouse, days[0], days[4])
    whole = {day: (number + 1, 10 * (number + 1)) for number, day in enumerate(days) if day != days[3]}
    assert held(warehouse) == whole, "a day without a statement has no row"
    model, app, job = warehouse.rows("select distinct model, app, job from {db}.ops_warehouse_cost")[0]
    assert (model, app, job) == ("fct_orders", "dbt", "everything")

    log.statements(days[2], 7)  # came late
    log.forget(days[0])
    log.forget(days[1])
    log.statements(days[1], 1)  # what is left of a day that is being forgotten
    warehouse.client.command(
        f"alter table {warehouse.database}.ops_warehouse_cost update milliseconds = 0"
        f" where day in ('{days[1]}', '{days[4]}') settings mutations_sync = 1"
    )
    build(warehouse, days[0], days[1])
    late = whole | {days[1]: (2, 0), days[2]: (10, 100), days[4]: (5, 0)}
    assert held(warehouse) == late, "a day that lacks statements is built unasked; one that is being forgotten never"
    build(warehouse, days[4], days[4])
    assert held(warehouse) == late | {days[4]: (5, 50)}, "a day that is asked for is built again"


def ask(stack: Stack, query: str, **variables: Any) -> Any:
    answer = httpx.post(
        stack.env["DAGSTER_URL"] + "/graphql", json={"query": query, "variables": variables}, timeout=60
    ).json()
    assert "errors" not in answer, json.dumps(answer)[:2000]
    return answer["data"]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_thirty_days_are_backfilled_by_the_daemon_in_three_runs(location: Location, stack: Stack) -> None:
    today = datetime.now(UTC).date()
    days = [str(today - timedelta(days=number)) for number in range(29, -1, -1)]
    launched = ask(stack, BACKFILL, days=days)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    deadline, status = time.monotonic() + 800, ""
    while status != "COMPLETED_SUCCESS":
        status = ask(stack, PROGRESS, id=launched["backfillId"])["partitionBackfillOrError"]["status"]
        assert status in ("REQUESTED", "COMPLETED_SUCCESS"), status
        assert time.monotonic() < deadline, f"the backfill is still {status}"
        time.sleep(1)
    backfilled = dg.RunsFilter.for_backfill(launched["backfillId"])
    runs = location.instance.get_runs(backfilled)
    ranges = sorted((run.tags[RANGE_START], run.tags[RANGE_END]) for run in runs)
    assert ranges == [(days[begin], days[begin + DAYS_IN_A_RUN - 1]) for begin in (0, 10, 20)]
    records = location.instance.get_run_records(backfilled)
    times = sorted((record.start_time or 0.0, record.end_time or 0.0) for record in records)
    assert all(begin >= end for (_, end), (begin, _) in pairwise(times)), "two runs wrote the warehouse at once"
    assert set(days) <= location.instance.get_materialized_partitions(MART)
    with clickhouse(stack) as client:
        found = client.query(f"select sum(statements) from analytics.ops_warehouse_cost where day = '{today}'")
    assert found.result_rows[0][0] > 0
