"""New rows ask for a build once they are complete; nobody asks while one is under way, and no two ever write at once."""

import secrets
import time

import dagster as dg
import psycopg

from pipelines.defs.warehouse.arrivals import MARTS, new_data
from pipelines.lib.pools import POOLS
from tests.integration.pipelines.conftest import Stack
from tests.integration.pipelines.location import Location


def look(location: Location, cursor: str | None) -> tuple[list[dg.RunRequest], str | None]:
    """What one tick asks for, and the cursor that the next one gets."""
    with dg.build_sensor_context(instance=location.instance, cursor=cursor) as context:
        requests = new_data.evaluate_tick(context).run_requests or []
        return list(requests), context.cursor


def commit_something(stack: Stack) -> None:
    with psycopg.connect(stack.env["USERS_DSN"]) as users:
        users.execute(
            "INSERT INTO users (id, email, full_name, country) VALUES (gen_random_uuid(), %s, 'Ada', 'DE')",
            [f"{secrets.token_hex(8)}@example.org"],
        )


def test_a_build_is_asked_for_when_new_rows_are_complete(location: Location, stack: Stack) -> None:
    _, cursor = look(location, None)
    before = int(cursor or 0)
    commit_something(stack)
    asked: list[dg.RunRequest] = []
    deadline = time.monotonic() + 90
    while not asked:
        assert time.monotonic() < deadline
        asked, cursor = look(location, cursor)
        time.sleep(0.1)
    assert cursor is not None and int(cursor) > before
    assert asked[0].run_key == f"batch-{cursor}"
    later = str(int(cursor) + 1_000_000)
    assert look(location, later) == ([], later)


def test_nothing_is_asked_for_while_a_build_waits_or_works(location: Location) -> None:
    waiting = location.instance.create_run_for_job(_job(), status=dg.DagsterRunStatus.NOT_STARTED)
    assert waiting.job_name == MARTS.name
    try:
        assert look(location, None) == ([], None)
    finally:
        location.instance.delete_run(waiting.run_id)


def test_every_pool_is_known_before_the_first_run_asks_for_it(location: Location) -> None:
    """Reason: Dagster lets in all that wait when a pool is asked for the first time."""
    limits = {pool.name: pool.limit for pool in location.instance.event_log_storage.get_pool_limits()}
    assert limits == dict.fromkeys(POOLS, 1)


def _job() -> dg.JobDefinition:
    from pipelines.definitions import defs

    return defs.resolve_job_def(MARTS.name)
