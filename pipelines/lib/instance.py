"""Questions to the Dagster instance: the last run of a job, the last verdict of a check."""

from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

OVER = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class Judged:
    """The last verdict of a check; one that only warns holds."""

    key: dg.AssetCheckKey
    holds: bool


def last_over(instance: dg.DagsterInstance, job: str) -> dg.DagsterRun | None:
    """The newest run of the job that is over."""
    return next(iter(instance.get_runs(dg.RunsFilter(job_name=job, statuses=OVER), limit=1)), None)


def under_way(instance: dg.DagsterInstance, job: str) -> bool:
    """Whether a run of the job waits or works."""
    return bool(instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNDER_WAY), limit=1))


def verdicts(instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey]) -> list[Judged]:
    """The last verdict of each check that ever gave one. A check that a failed run never came to says nothing: dbt plans
    all of them and skips what hangs on a failure."""
    log = instance.event_log_storage
    found = []
    for key, record in log.get_latest_asset_check_execution_by_key(list(keys)).items():
        given = record
        if record.event is None or record.event.asset_check_evaluation is None:
            older = log.get_asset_check_execution_history(key, limit=20)
            given = next((each for each in older if each.event and each.event.asset_check_evaluation), record)
        evaluation = given.event.asset_check_evaluation if given.event else None
        if evaluation is not None:
            found.append(Judged(key, evaluation.passed or evaluation.severity == dg.AssetCheckSeverity.WARN))
    return found
