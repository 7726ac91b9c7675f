"""Of what kind a failure is: only a server that was away is worth another try."""

import json
from pathlib import Path

import clickhouse_connect.driver.exceptions as clickhouse
import httpx
import psycopg
import pytest

from cdc.errors import ConfigurationError, TransientError
from pipelines.lib.failures import ATTEMPTS, Kind, delay, kind_of, of_dbt, of_text

MEMORY = "Code: 241. DB::Exception: (query) memory limit exceeded"
BUSY = "Code: 202. DB::Exception: Too many simultaneous queries"
REFUSED = (
    "HTTPConnectionPool(host='127.0.0.1', port=1): Max retries exceeded with url: /? ([Errno 111] Connection refused)"
)
SYNTAX = "Code: 62. DB::Exception: Syntax error"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (clickhouse.OperationalError(REFUSED), Kind.AWAY),
        (clickhouse.DatabaseError(BUSY), Kind.AWAY),
        (clickhouse.DatabaseError(MEMORY), Kind.DEFINITION),
        (clickhouse.DatabaseError(SYNTAX), Kind.DEFINITION),
        (psycopg.OperationalError("connection refused"), Kind.AWAY),
        (psycopg.OperationalError('password authentication failed for user "cdc"'), Kind.DEFINITION),
        (psycopg.errors.AdminShutdown("terminating connection"), Kind.AWAY),
        (psycopg.errors.InvalidCatalogName("no such database"), Kind.DEFINITION),
        (psycopg.errors.UndefinedTable("no such table"), Kind.DEFINITION),
        (TransientError("Kafka does not answer"), Kind.AWAY),
        (ConfigurationError("no such source"), Kind.DEFINITION),
        (httpx.ConnectError("refused"), Kind.AWAY),
        (TimeoutError(), Kind.AWAY),
        (KeyError("total"), Kind.DEFINITION),
    ],
)
def test_only_what_did_not_answer_is_away(error: Exception, kind: Kind) -> None:
    assert kind_of(error) is kind


def test_the_cause_decides_about_a_wrapping() -> None:
    wrapped = RuntimeError("the check could not be made")
    wrapped.__cause__ = TransientError("Kafka does not answer")
    assert kind_of(wrapped) is Kind.AWAY


def results(folder: Path, **statuses: tuple[str, str]) -> Path:
    told = [
        {"unique_id": f"model.millrace.{name}", "status": status, "message": message}
        for name, (status, message) in statuses.items()
    ]
    path = folder / "run_results.json"
    path.write_text(json.dumps({"results": told}))
    return path


def test_failed_tests_are_wrong_numbers_and_are_named(tmp_path: Path) -> None:
    found = of_dbt(results(tmp_path, orders_add_up=("fail", "Got 1 result"), fct_orders=("skipped", "")), "")
    assert found.kind is Kind.NUMBERS
    assert "orders_add_up" in str(found) and "fct_orders" not in str(found)


def test_a_model_that_cannot_be_built_outweighs_a_failed_test(tmp_path: Path) -> None:
    found = of_dbt(results(tmp_path, adds_up=("fail", ""), fct_orders=("error", f"Database Error\n  {SYNTAX}")), "")
    assert found.kind is Kind.DEFINITION
    assert SYNTAX in str(found)


def test_a_server_that_went_away_outweighs_everything(tmp_path: Path) -> None:
    found = of_dbt(results(tmp_path, one=("error", SYNTAX), two=("error", REFUSED), three=("fail", "")), "")
    assert found.kind is Kind.AWAY
    assert "two" in str(found)


def test_a_dbt_that_did_not_start_is_judged_by_what_it_printed(tmp_path: Path) -> None:
    assert of_dbt(tmp_path / "none.json", f"Database Error\n  {REFUSED}").kind is Kind.AWAY
    assert of_dbt(tmp_path / "none.json", "Compilation Error").kind is Kind.DEFINITION
    assert of_text("Code: 60. DB::Exception: no table of 202 rows") is Kind.DEFINITION


def test_each_try_waits_longer_and_there_are_few() -> None:
    waits = [delay(attempt) for attempt in range(ATTEMPTS)]
    assert waits == sorted(set(waits)) and sum(waits) < 60
