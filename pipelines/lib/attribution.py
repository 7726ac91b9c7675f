"""Who asked: every statement of a run names the run in ClickHouse's `system.query_log`.

Ours say so in `log_comment`, dbt's in the comment before each statement, beside the model or test (macro `query_comment`).
What a run, a job and a model cost is read from there; the mart ops_warehouse_cost adds it up by day.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

INVOCATION_TAG = "dbt/invocation_id"
DBT_VARIABLES = {"job": "MILLRACE_ASKED_BY_JOB", "run": "MILLRACE_ASKED_BY_RUN"}


def comment(job: str, run_id: str) -> str:
    """The value of `log_comment`."""
    return json.dumps({"app": "dagster", "job": job, "run": run_id})


def comment_of(context: dg.OpExecutionContext) -> str:
    """The value of `log_comment` for what runs now."""
    return comment(context.job_name, context.run_id)


@contextmanager
def attributed(context: dg.OpExecutionContext) -> Iterator[None]:
    """A dbt process that is started inside names the run on each of its statements."""
    names = {DBT_VARIABLES["job"]: context.job_name, DBT_VARIABLES["run"]: context.run_id}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
