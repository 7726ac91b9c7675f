"""Marts that are a day each: built by days, so that a day can be built again alone and a month in a few runs.

A backfill is cut into runs of a bounded number of days, each one dbt call: a run that fails costs its own days, and one
INSERT never touches more partitions than ClickHouse allows. A day is built whole from its source or keeps what it had.
The view that only these marts read is made with them.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets

from pipelines.defs.warehouse.marts import DAILY
from pipelines.lib.dbt import PROJECT_OF_DBT, build
from pipelines.lib.manifest import ensure_manifest
from pipelines.lib.pools import WAREHOUSE
from pipelines.lib.translator import Translator

FIRST_DAY = "2026-01-01"
DAYS_IN_A_RUN = 10
DAYS = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, timezone="UTC", end_offset=1)


def days_arguments(window: dg.TimeWindow) -> list[str]:
    """Arguments of the one dbt call for the days of the window, its end not among them."""
    return [
        *("build", "--exclude-resource-type", "unit_test"),
        *("--event-time-start", f"{window.start:%Y-%m-%d}", "--event-time-end", f"{window.end:%Y-%m-%d}"),
    ]


@dbt_assets(
    manifest=ensure_manifest(),
    project=PROJECT_OF_DBT,
    dagster_dbt_translator=Translator(),
    select=DAILY,
    name="daily",
    partitions_def=DAYS,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=DAYS_IN_A_RUN),
    pool=WAREHOUSE,
)
def daily(context: dg.AssetExecutionContext, dbt: DbtCliResource) -> Iterator[Any]:
    """The days that were asked for."""
    yield from build(context, dbt, days_arguments(context.partition_time_window))


DAILY_MARTS = dg.define_asset_job(
    "daily_marts",
    selection=dg.AssetSelection.assets(*daily.keys) | dg.AssetSelection.checks(*daily.check_keys),
    description="Builds the marts that are a day each, for one day or a range of them.",
)


@dg.schedule(
    job=DAILY_MARTS,
    cron_schedule="20 * * * *",
    execution_timezone="UTC",
    description="Yesterday and today, whose logs still grow.",
)
def days_that_grow(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    now = context.scheduled_execution_time
    first, last = f"{now - timedelta(days=1):%Y-%m-%d}", f"{now:%Y-%m-%d}"
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    yield dg.RunRequest(run_key=f"{now:%Y-%m-%dT%H}", tags=tags)
