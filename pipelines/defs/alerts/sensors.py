"""Sensors that tell people: what each looks at is in `looks`, whom it tells in `routes.yaml`.

Off until somebody turns them on, like the schedules. A look whose messages could not be delivered fails its tick, so that it
shows; what was delivered stays delivered.
"""

import time
from collections.abc import Iterable

import dagster as dg

from pipelines.defs.alerts import looks
from pipelines.lib import alerts
from pipelines.lib.alerts import Alert
from pipelines.lib.delivery import deliver, routes
from pipelines.lib.instance import verdicts

EVERY = 60


def told(context: dg.SensorEvaluationContext, current: Iterable[Alert]) -> dg.SkipReason:
    """Deliver what is due and remember it."""
    cursor, failed = alerts.tell(context.cursor, current, time.time(), routes().repeat_after, deliver)
    context.update_cursor(cursor)
    if failed:
        context.log.error("not delivered: %s", "; ".join(failed))
        return dg.SkipReason(f"not delivered, tried again at the next look: {'; '.join(failed)}")
    return dg.SkipReason(f"{len(alerts.read(cursor))} alerts are open")


@dg.sensor(minimum_interval_seconds=EVERY, description="Tells whom it concerns that the last run of a job failed.")
def failed_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    assert context.repository_def is not None
    jobs = sorted(job.name for job in context.repository_def.get_all_jobs())
    return told(context, looks.failed_runs(context.instance, jobs, routes().otherwise))


@dg.sensor(minimum_interval_seconds=EVERY, description="Tells the owner of a table or mart that a check does not hold.")
def failing_checks(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    assert context.repository_def is not None
    graph = context.repository_def.asset_graph
    owners = {key: graph.get(key).owners for key in graph.get_all_asset_keys()}
    judged = verdicts(context.instance, graph.asset_check_keys)
    return told(context, looks.failing_checks(judged, owners, routes().otherwise))


@dg.sensor(
    minimum_interval_seconds=EVERY,
    description="Tells of open dead letters and whatever else keeps copies from following.",
)
def engine_problems(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    known = [each.alert for each in alerts.read(context.cursor).values()]
    return told(context, looks.engine_problems(routes().otherwise, known))


TELLING = [failed_runs, failing_checks, engine_problems]
