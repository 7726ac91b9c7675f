"""New data arrived: the marts are built when the sink has completed batches that no build was asked for.

It asks for the next build only when the last one is over, so a busy shop gets one build after the other and an idle one
none. It looks at the sink's own statement of what is complete, never at a clock.
"""

import dagster as dg

from pipelines.defs.warehouse.marts import marts
from pipelines.lib.attribution import comment
from pipelines.lib.clickhouse import of_the_environment, raw_prefix
from pipelines.lib.instance import under_way

EVERY = 60
COMPLETE = "SELECT toString(argMax(readable_below, at)) AS batch FROM {database}.batch_watermark"

MARTS = dg.define_asset_job(
    "marts_build",
    selection=dg.AssetSelection.assets(*marts.keys) | dg.AssetSelection.checks(*marts.check_keys),
    description="Builds every mart and runs every dbt test, without comparing the raw tables with PostgreSQL.",
)


@dg.sensor(
    job_name=MARTS.name, minimum_interval_seconds=EVERY, description="Builds the marts when new rows are complete."
)
def new_data(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    if under_way(context.instance, MARTS.name) or under_way(context.instance, "everything"):
        return dg.SkipReason("a build is under way")
    query = COMPLETE.format(database=f"{raw_prefix()}millrace")
    (row,) = of_the_environment().rows(query, {}, comment("new_data", "sensor"))
    if int(row["batch"]) <= int(context.cursor or 0):
        return dg.SkipReason("nothing new is complete")
    context.update_cursor(row["batch"])
    return dg.RunRequest(run_key=f"batch-{row['batch']}")
