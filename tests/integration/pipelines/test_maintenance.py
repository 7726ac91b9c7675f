"""Housekeeping on the running stack: people who asked are taken out of the copies, an index is built anew, all is proven."""

import secrets
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import psycopg
import pytest

from pipelines.defs.maintenance.erasure import people_erased
from tests.integration.pipelines.conftest import Stack, clickhouse
from tests.integration.pipelines.location import Location, reasons

VERSIONS = """
select
    (select count() from raw_users.users where id = {user:UUID}),
    (select count() from raw_users.users final where id = {user:UUID} and erased_at is not null),
    (select count() from raw_users.addresses where id = {address:UUID} and not _deleted)
"""


def copies(stack: Stack, user: str, address: str) -> tuple[int, int, int]:
    """Versions of the user, whether the copy says that they were erased, and versions of the address that hold it."""
    with clickhouse(stack) as client:
        found: tuple[int, int, int] = client.query(VERSIONS, {"user": user, "address": address}).result_rows[0]
    return found


@pytest.fixture
def erased(stack: Stack) -> tuple[str, str]:
    """A user and an address, copied, then erased as the users service does; the copies have followed."""
    user, address = str(uuid.uuid4()), str(uuid.uuid4())
    with unmerged(stack), psycopg.connect(stack.env["USERS_DSN"], autocommit=True) as users:
        email = f"{secrets.token_hex(8)}@example.org"
        users.execute("INSERT INTO users (id, email, full_name, country) VALUES (%s, %s, 'Ada', 'DE')", [user, email])
        users.execute(
            """INSERT INTO addresses (id, user_id, kind, line1, postal_code, city, country)
               VALUES (%s, %s, 'shipping', 'Main Street 1', '10115', 'Berlin', 'DE')""",
            [address, user],
        )
        wait_for(stack, user, address, (1, 0, 1))
        users.execute("DELETE FROM addresses WHERE id = %s", [address])
        users.execute(
            """UPDATE users SET email = 'erased-' || id || '@erased.invalid', full_name = 'erased', country = 'ZZ',
               erased_at = now(), version = version + 1 WHERE id = %s""",
            [user],
        )
        wait_for(stack, user, address, (2, 1, 1))
    return user, address


def asked_for(location: Location, cursor: str | None) -> tuple[list[str], str | None]:
    """Users that the sensor asks to have erased, by as many ticks as it takes, and its cursor then."""
    asked: list[str] = []
    while True:
        with dg.build_sensor_context(instance=location.instance, cursor=cursor) as context:
            requests = people_erased.evaluate_tick(context).run_requests or []
            cursor = context.cursor
        if not requests:
            return asked, cursor
        for request in requests:
            asked += request.run_config["ops"]["erase_from_copies"]["config"]["users"]


@contextmanager
def unmerged(stack: Stack) -> Iterator[None]:
    """ClickHouse keeps every version for the block."""
    with clickhouse(stack, "cdc") as client:
        for table in ("users", "addresses"):
            client.command(f"system stop merges raw_users.{table}")
        try:
            yield
        finally:
            for table in ("users", "addresses"):
                client.command(f"system start merges raw_users.{table}")


def wait_for(stack: Stack, user: str, address: str, expected: tuple[int, int, int]) -> None:
    deadline = time.monotonic() + 90
    while (found := copies(stack, user, address)) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_who_was_erased_is_taken_out_of_the_copies_once(
    location: Location, stack: Stack, erased: tuple[str, str]
) -> None:
    user, address = erased
    asked, cursor = asked_for(location, None)
    assert asked.count(user) == 1
    assert asked_for(location, cursor)[0] == []
    run = location.run("erasure_requests", ops={"erase_from_copies": {"config": {"users": [user]}}})
    assert run.success, reasons(run)
    assert copies(stack, user, address) == (1, 1, 0)


@pytest.mark.usefixtures("engine")
def test_every_copy_and_every_document_is_proven(location: Location) -> None:
    run = location.run("nightly_verification")
    assert run.success, reasons(run)
    checks = {"/".join(each.asset_key.path): each for each in run.get_asset_check_evaluations()}
    assert len(checks) == 17 and checks["indexes/products"].check_name == "equals_source"
    assert checks["indexes/products"].metadata["differing"].value == 0
    assert checks["raw_users/addresses"].check_name == "equals_postgres"


def test_an_index_is_built_anew_and_one_that_nobody_knows_is_refused(location: Location) -> None:
    done = location.run("search_reindex", ops={"build_index_anew": {"config": {"index": "products", "finish": True}}})
    assert done.success, reasons(done)
    (event,) = done.get_asset_materialization_events()
    assert event.asset_key == dg.AssetKey(["indexes", "products"])
    refused = location.run("search_reindex", ops={"build_index_anew": {"config": {"index": "nothing"}}})
    assert not refused.success
    assert "no applied source has documents of index nothing" in reasons(refused)[0]
