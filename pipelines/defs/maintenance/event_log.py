"""Dagster's own history is kept for a while only: its event log grows by thousands of rows a run.

Runs that were asked for daily partitions stay: Dagster reads from them which days are built. So do runs that are not over.
"""

from datetime import UTC, datetime, timedelta

import dagster as dg
from pydantic import Field

from pipelines.lib.failures import typed_failures

KEPT_DAYS = 30
AT_ONCE = 500
OVER = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
OF_DAYS = ("dagster/partition", "dagster/asset_partition_range_start")


class Retention(dg.Config):
    """How much of the history stays."""

    kept_days: float = Field(default=KEPT_DAYS, gt=0, description="days for which a run that is over is kept")
    at_most: int = Field(default=AT_ONCE, gt=0, description="runs forgotten at once; the next time goes on")


def forgettable(instance: dg.DagsterInstance, before: datetime, at_most: int) -> list[str]:
    """Runs that were over before then and built no day, the oldest first."""
    records = instance.get_run_records(
        dg.RunsFilter(statuses=OVER, updated_before=before), limit=at_most, ascending=True, order_by="update_timestamp"
    )
    return [
        record.dagster_run.run_id for record in records if not any(tag in record.dagster_run.tags for tag in OF_DAYS)
    ]


@dg.op
def forget_old_runs(context: dg.OpExecutionContext, config: Retention) -> int:
    """Deletes old runs with their events; how many."""
    with typed_failures(context):
        old = forgettable(context.instance, datetime.now(UTC) - timedelta(days=config.kept_days), config.at_most)
        for run_id in old:
            context.instance.delete_run(run_id)
        context.log.info("forgot %d runs", len(old))
    return len(old)


@dg.job(description="Forgets runs of Dagster that are older than a month.", executor_def=dg.in_process_executor)
def event_log_retention() -> None:
    forget_old_runs()
