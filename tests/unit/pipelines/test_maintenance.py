"""Housekeeping on a Dagster instance of its own: what is old goes, what says which days are built stays."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from pipelines.defs.maintenance.erasure import AT_ONCE, still_asked
from pipelines.defs.maintenance.event_log import event_log_retention, forgettable
from pipelines.defs.warehouse.daily import DAYS_IN_A_RUN, daily, days_arguments

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dg.job(config=QUIET, executor_def=dg.in_process_executor)
def work() -> None:
    """Nothing to do."""


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


def test_old_runs_are_forgotten_and_those_of_days_are_not(instance: dg.DagsterInstance) -> None:
    gone = [work.execute_in_process(instance=instance).run_id for _ in range(2)]
    day = work.execute_in_process(instance=instance, tags={"dagster/partition": "2026-01-01"}).run_id
    later = datetime.now(UTC) + timedelta(seconds=60)
    assert forgettable(instance, later - timedelta(days=1), 10) == []
    assert forgettable(instance, later, 1) == gone[:1]
    config = {"ops": {"forget_old_runs": {"config": {"kept_days": 1e-9}}}} | QUIET
    done = event_log_retention.execute_in_process(instance=instance, run_config=config)
    assert done.output_for_node("forget_old_runs") == 2
    assert {run.run_id for run in instance.get_runs()} == {day, done.run_id}
    assert instance.all_logs(gone[0]) == []


def test_a_person_is_erased_once_and_remembered_as_long_as_the_copies_could() -> None:
    new, cursor = still_asked(None, {"ann": 1, "ben": 2})
    assert new == ["ann", "ben"]
    assert still_asked(cursor, {"ann": 1, "ben": 2}) == ([], cursor)
    new, cursor = still_asked(cursor, {"ben": 2, "eve": 3})
    assert new == ["eve"] and json.loads(cursor) == ["ben", "eve"]


def test_many_people_are_erased_in_several_runs() -> None:
    people = {f"{number:04}": number for number in range(AT_ONCE + 1)}
    first, cursor = still_asked(None, people)
    second, cursor = still_asked(cursor, people)
    assert len(first) == AT_ONCE and [*first, *second] == list(people)
    assert still_asked(cursor, people)[0] == []


def test_a_backfill_is_cut_into_bounded_runs_of_one_call_each() -> None:
    policy = daily.backfill_policy
    assert policy is not None and policy.max_partitions_per_run == DAYS_IN_A_RUN
    window = dg.TimeWindow(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 11, tzinfo=UTC))
    assert days_arguments(window)[-4:] == ["--event-time-start", "2026-01-01", "--event-time-end", "2026-01-11"]
