"""Freshness of the hops: a copy that falls behind is late, and fresh again when it has caught up; an idle one is never late."""

import secrets
import time
from collections.abc import Callable

import dagster as dg
import psycopg
import pytest

from pipelines.defs.freshness import checks
from pipelines.lib import engine as engine_facts
from tests.conftest import Stack
from tests.integration.pipelines.location import Location

USERS = dg.AssetKey(["raw_users", "users"])
TOPIC = dg.AssetKey(["topics", "users.public.users"])
INDEX = dg.AssetKey(["indexes", "products"])
COPY = "users.public.users"


def verdicts(run: dg.ExecuteInProcessResult) -> dict[dg.AssetKey, dg.AssetCheckEvaluation]:
    return {each.asset_key: each for each in run.get_asset_check_evaluations()}


def wait_for(holds: Callable[[engine_facts.Behind], bool], seconds: float = 90.0) -> None:
    """Until what the engine says of the copy of users fits."""
    deadline = time.monotonic() + seconds
    while not holds(found := engine_facts.facts().copies[COPY]):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


@pytest.mark.usefixtures("engine")
def test_a_copy_that_falls_behind_is_late_until_it_has_caught_up(
    location: Location, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    policies = checks.limits()
    assert {USERS, TOPIC, INDEX, dg.AssetKey(["analytics", "fct_orders"])} <= set(policies)
    wait_for(lambda found: found.records == 0)
    idle = location.run("freshness")
    assert idle.success
    assert verdicts(idle)[USERS].passed and verdicts(idle)[TOPIC].passed and verdicts(idle)[INDEX].passed

    monkeypatch.setattr(checks, "limits", lambda: policies | {USERS: 0.5})
    with stack.frozen("clickhouse-sink"):
        with psycopg.connect(stack.env["USERS_DSN"]) as users:
            users.execute(
                "INSERT INTO users (id, email, full_name, country) VALUES (gen_random_uuid(), %s, 'Ada', 'DE')",
                [f"{secrets.token_hex(8)}@example.org"],
            )
        wait_for(lambda found: found.seconds > 0.5)
        late = location.run("freshness")
        found = verdicts(late)
        assert late.success and not found[USERS].passed
        assert "s behind, at most 0.5 s" in str(found[USERS].description)
        assert found[USERS].metadata["records_waiting"].value == 1
        assert found[TOPIC].passed and found[INDEX].passed, "the hop that is late is the one that is red"
    wait_for(lambda found: found.records == 0)
    assert verdicts(location.run("freshness"))[USERS].passed
    shown = location.instance.fetch_observations(USERS, limit=1).records[0].asset_observation
    assert shown is not None and shown.metadata["behind_s"].value == 0.0


@pytest.mark.usefixtures("engine")
def test_an_engine_that_cannot_be_asked_gives_no_verdict(location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    from cdc.settings import settings
    from pipelines.lib import failures

    monkeypatch.setenv("MILLRACE_STATE_DSN", "postgresql://nobody:nothing@127.0.0.1:1/millrace")
    monkeypatch.setattr(failures, "ATTEMPTS", 0)
    settings.cache_clear()
    run = location.run("freshness")
    assert not run.success
    assert verdicts(run) == {}
    assert location.tags_of(run)[failures.TAG] == failures.Kind.AWAY.value
