"""What Dagster loads. Loading opens no connection and reads no address: those are read when a run starts."""

import dagster as dg

from pipelines.defs.cdc.raw_tables import TABLES, observe_lag
from pipelines.defs.cdc.reconciliation import reconcile_raw_tables
from pipelines.defs.schedules import EVERYTHING, SCHEDULES
from pipelines.defs.warehouse.marts import DBT_RESOURCE, marts
from pipelines.lib.clickhouse import ClickHouse

defs = dg.Definitions(
    assets=[*TABLES, marts],
    asset_checks=[reconcile_raw_tables],
    jobs=[EVERYTHING, observe_lag],
    schedules=SCHEDULES,
    resources={
        "dbt": DBT_RESOURCE,
        "clickhouse": ClickHouse(
            url=dg.EnvVar("CLICKHOUSE_URL"), user="dbt", password=dg.EnvVar("CLICKHOUSE_DBT_PASSWORD")
        ),
    },
    executor=dg.in_process_executor,
)
