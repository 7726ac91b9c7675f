"""How runs fail: a server that is away is asked again, a wrong number is not, and what hangs on it keeps its data."""

import time
from decimal import Decimal

import dagster as dg
import pytest

from pipelines.defs.alerts.looks import failing_checks
from pipelines.defs.freshness.marts import behind as marts_behind
from pipelines.lib import failures
from pipelines.lib.attribution import INVOCATION_TAG, comment
from pipelines.lib.clickhouse import of_the_environment
from pipelines.lib.engine import Behind
from pipelines.lib.failures import TAG, Kind
from pipelines.lib.feeding import fed_marts
from pipelines.lib.instance import verdicts
from tests.integration.dbt.warehouse import Warehouse
from tests.integration.pipelines.conftest import Stack
from tests.integration.pipelines.location import Gate, Location, built, reasons, settings

ASSETS = [
    ("staging", "stg_payments__accounts"),
    ("staging", "stg_payments__transfers"),
    ("analytics", "dim_accounts"),
    ("staging", "stg_clickstream__events"),
    ("analytics", "fct_cart_events"),
]
"""Two marts, each of views of its own."""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """No wait between tries; the tries that were waited for."""
    waited: list[int] = []

    def delay(attempt: int) -> float:
        waited.append(attempt)
        return 0.0

    monkeypatch.setattr(failures, "delay", delay)
    return waited


def test_a_server_that_comes_back_is_asked_again_and_the_run_succeeds(
    location: Location, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(stack.env["CLICKHOUSE_URL"])

    def delay(attempt: int) -> float:
        if attempt == 1:
            gate.open()
        return 0.0

    monkeypatch.setattr(failures, "delay", delay)
    with settings({"CLICKHOUSE_URL": gate.url}):
        run = location.run("observe_lag")
    gate.close()
    assert run.success
    assert len([event for event in run.all_events if event.is_step_up_for_retry]) == 2
    assert TAG not in location.tags_of(run)


def test_a_server_that_stays_away_is_asked_a_few_times_and_the_run_says_so(
    location: Location, impatient: list[int]
) -> None:
    with settings({"CLICKHOUSE_URL": "http://127.0.0.1:1"}):
        run = location.run("observe_lag")
    assert not run.success
    assert impatient == list(range(failures.ATTEMPTS))
    assert location.tags_of(run)[TAG] == Kind.AWAY.value


def test_a_wrong_password_is_not_tried_again(location: Location, impatient: list[int]) -> None:
    with settings({"CLICKHOUSE_DBT_PASSWORD": "wrong"}):
        run = location.run("observe_lag")
    assert not run.success and impatient == []
    assert location.tags_of(run)[TAG] == Kind.DEFINITION.value


def test_a_failed_test_of_staging_keeps_what_hangs_on_it_and_nothing_else(
    location: Location, warehouse: Warehouse, impatient: list[int]
) -> None:
    """The mart of accounts keeps the rows it had, a mart that does not hang on them is built; good data heal both, and
    owners are told by the same verdicts."""
    accounts = warehouse.shop
    accounts.accounts()
    accounts.flush()
    good = location.run("everything", ASSETS)
    assert good.success, reasons(good)
    assert {"dim_accounts", "fct_cart_events"} <= built(good)
    served = warehouse.rows("select account_id, balance, _loaded_at from {db}.dim_accounts order by account_id")
    assert len(served) == 2 and told(location) == []
    assert behind(location)["dim_accounts"].records == 0

    accounts.accounts()
    accounts.pending["payments.accounts"][0] |= {"debits_must_not_exceed_credits": True, "debits_posted": Decimal(1)}
    accounts.flush()
    assert behind(location)["dim_accounts"].records == 2
    bad = location.run("everything", ASSETS)
    assert not bad.success and impatient == []
    assert location.tags_of(bad)[TAG] == Kind.NUMBERS.value
    assert "accounts_stay_within_their_bounds" in reasons(bad)[0]
    assert "fct_cart_events" in built(bad) and "dim_accounts" not in built(bad)
    kept = warehouse.rows("select account_id, balance, _loaded_at from {db}.dim_accounts order by account_id")
    assert kept == served
    assert told(location) == ["staging/stg_payments__accounts: accounts_stay_within_their_bounds"]

    accounts.accounts()
    accounts.flush()
    healed = location.run("everything", ASSETS)
    assert healed.success, reasons(healed)
    assert "dim_accounts" in built(healed) and told(location) == []
    assert behind(location)["dim_accounts"].records == 0
    invocation = location.tags_of(healed)[INVOCATION_TAG]
    assert models_asked_for(warehouse, healed.run_id, invocation) >= {"stg_payments__accounts", "dim_accounts"}


def told(location: Location) -> list[str]:
    """What is told of the checks of the accounts."""
    keys = [dg.AssetCheckKey(dg.AssetKey(["staging", "stg_payments__accounts"]), "accounts_stay_within_their_bounds")]
    alerts = failing_checks(verdicts(location.instance, keys), {}, "nobody@millrace.example")
    return [finding for alert in alerts for finding in alert.findings]


def behind(location: Location) -> dict[str, Behind]:
    """What the marts are behind the raw tables."""
    marts = [fed for fed in fed_marts() if fed.mart == "dim_accounts"]
    return marts_behind(marts, of_the_environment(), comment("test", "none"))


def models_asked_for(warehouse: Warehouse, run: str, invocation: str) -> set[str]:
    """Models whose statements name the run and dbt's invocation in ClickHouse's log, once the last of them is there."""
    query = f"""
        select distinct extract(query, '"node": "model.millrace.([^"]+)') from system.query_log
        where type = 'QueryFinish' and JSONExtractString(log_comment, 'app') = 'dbt' and query like '/* {{"app": "dbt"%'
          and query like '%"job": "everything"%' and query like '%"run": "{run}"%'
          and query like '%"invocation": "{invocation}"%'
    """
    deadline = time.monotonic() + 60
    while "dim_accounts" not in (found := {name for (name,) in warehouse.rows(query)}):
        assert time.monotonic() < deadline, f"the log has only {found}"
        time.sleep(0.5)
    return found
