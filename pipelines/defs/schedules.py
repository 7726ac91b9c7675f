"""Jobs and when they run.

Schedules are off until somebody turns them on in the UI: a laptop's two cores belong to the shop, and a benchmark must
not meet a build. In production both are on.
"""

import dagster as dg

from pipelines.defs.cdc.raw_tables import observe_lag

EVERYTHING = dg.define_asset_job(
    "everything",
    selection=dg.AssetSelection.all() | dg.AssetSelection.all_asset_checks(),
    description="Builds every mart and runs every check, the comparison with PostgreSQL among them.",
)
SCHEDULES = [
    dg.ScheduleDefinition(
        job=EVERYTHING,
        cron_schedule="*/10 * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
    ),
    dg.ScheduleDefinition(
        job=observe_lag,
        cron_schedule="* * * * *",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
    ),
]
