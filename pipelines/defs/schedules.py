"""Jobs of several domains, and when each job runs.

Schedules and sensors are off until somebody turns them on in the UI: a laptop's two cores belong to the shop, and a
benchmark must not meet a build. In production all are on, with one choice: either `everything` every ten minutes, or the
sensor `new_data`.
"""

import dagster as dg

from pipelines.defs.cdc.raw_tables import observe_lag
from pipelines.defs.cdc.reconciliation import reconcile_raw_tables
from pipelines.defs.freshness.checks import FRESHNESS
from pipelines.defs.maintenance.event_log import event_log_retention
from pipelines.defs.quality.expectations import EXPECTATIONS
from pipelines.defs.search.indexes import prove_indexes
from pipelines.defs.warehouse.daily import days_that_grow
from pipelines.defs.warehouse.marts import marts

EVERYTHING = dg.define_asset_job(
    "everything",
    selection=dg.AssetSelection.assets(*marts.keys).without_checks()
    | dg.AssetSelection.checks(*marts.check_keys, *reconcile_raw_tables.check_keys),
    description="Builds every mart, runs every dbt test, and compares the raw tables with PostgreSQL.",
)
VERIFICATION = dg.define_asset_job(
    "nightly_verification",
    selection=dg.AssetSelection.checks(*reconcile_raw_tables.check_keys, *prove_indexes.check_keys),
    description="Compares every copy and every document with its source.",
)
WHEN = (
    (EVERYTHING, "*/10 * * * *"),
    (VERIFICATION, "30 2 * * *"),
    (EXPECTATIONS, "15 * * * *"),
    (FRESHNESS, "*/5 * * * *"),
    (observe_lag, "* * * * *"),
    (event_log_retention, "45 3 * * *"),
)
SCHEDULES = [
    *(
        dg.ScheduleDefinition(
            job=job,
            cron_schedule=when,
            execution_timezone="UTC",
            default_status=dg.DefaultScheduleStatus.STOPPED,
        )
        for job, when in WHEN
    ),
    days_that_grow,
]
