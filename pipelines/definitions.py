"""What Dagster loads. Loading opens no connection and reads no address: those are read when a run starts."""

import dagster as dg

from pipelines.defs.alerts.sensors import TELLING
from pipelines.defs.cdc.raw_tables import TABLES, observe_lag
from pipelines.defs.cdc.reconciliation import reconcile_raw_tables
from pipelines.defs.freshness.checks import FRESHNESS, judge_freshness
from pipelines.defs.maintenance.erasure import erasure_requests, people_erased
from pipelines.defs.maintenance.event_log import event_log_retention
from pipelines.defs.quality.expectations import EXPECTATIONS, great_expectations
from pipelines.defs.schedules import EVERYTHING, SCHEDULES, VERIFICATION
from pipelines.defs.search.indexes import INDEXES, prove_indexes, search_reindex
from pipelines.defs.warehouse.arrivals import MARTS, new_data
from pipelines.defs.warehouse.daily import DAILY_MARTS, daily
from pipelines.defs.warehouse.marts import marts
from pipelines.lib import clickhouse, dbt

defs = dg.Definitions(
    assets=[*TABLES, *INDEXES, marts, daily],
    asset_checks=[reconcile_raw_tables, prove_indexes, judge_freshness, great_expectations],
    jobs=[
        *(EVERYTHING, MARTS, DAILY_MARTS, VERIFICATION, EXPECTATIONS, FRESHNESS, observe_lag),
        *(search_reindex, erasure_requests, event_log_retention),
    ],
    schedules=SCHEDULES,
    sensors=[new_data, people_erased, *TELLING],
    resources={"dbt": dbt.RESOURCE, "clickhouse": clickhouse.RESOURCE},
    executor=dg.in_process_executor,
)
