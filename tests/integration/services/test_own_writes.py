"""X-Commit-LSN: who wrote sees the write, whichever server answers; who did not may see an older state."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from services.kit.pagination import Cursors
from services.kit.position import Positions
from tests.integration.services.shop import Shop

GATE, LONG = 500, 10_000


@contextmanager
def replay_paused(shop: Shop) -> Iterator[None]:
    """The replica receives and does not apply."""
    port = conninfo_to_dict(shop.env["USERS_REPLICA_DSN"])["port"]
    with psycopg.connect(make_conninfo(shop.env["POSTGRES_ADMIN_DSN"], port=port), autocommit=True) as replica:
        replica.execute("SELECT pg_wal_replay_pause()")
        try:
            yield
        finally:
            replica.execute("SELECT pg_wal_replay_resume()")


def register(shop: Shop) -> httpx.Response:
    body = {"email": f"{uuid4().hex}@example.org", "full_name": "Ada", "country": "DE"}
    response = shop.call("users", "POST", "/users", json=body)
    assert response.status_code == 201, response.text
    return response


def listed_after(shop: Shop, user: str, token: str | None) -> dict[str, int]:
    """The users that the list shows after `user`, with their versions."""
    cursor = Cursors(shop.env["USERS_DSN"]).write("users", UUID(user))
    headers = {} if token is None else {"X-Commit-LSN": token}
    response = shop.call("users", "GET", f"/users?limit=5&cursor={cursor}", headers=headers)
    assert response.status_code == 200, response.text
    return {item["id"]: item["version"] for item in response.json()["items"]}


def stale_reads(shop: Shop, count: int) -> int:
    """Change a user so often, and list it after each change; how often the list showed an older version."""
    before, user = (register(shop).json()["id"] for _ in range(2))
    stale = 0
    for turn in range(count):
        change = {"full_name": f"Ada {turn}"}
        written = shop.call("users", "PATCH", f"/users/{user}", json=change, headers={"if-match": f'"{turn + 1}"'})
        assert written.status_code == 200, written.text
        stale += listed_after(shop, before, written.headers["x-commit-lsn"]).get(user) != turn + 2
    return stale


def reads_for(shop: Shop, outcome: str) -> float:
    text = shop.call("users", "GET", "/metrics").text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(s.value for s in samples if s.name == "millrace_replica_reads_total" and s.labels["outcome"] == outcome)


def test_no_read_after_a_write_is_stale(shop: Shop) -> None:
    assert stale_reads(shop, GATE) == 0


@pytest.mark.long
def test_no_read_after_many_writes_is_stale(shop: Shop) -> None:
    assert stale_reads(shop, LONG) == 0


def test_a_late_replica_is_waited_for_and_then_passed_over(shop: Shop) -> None:
    before = register(shop)
    listed_after(shop, before.json()["id"], before.headers["x-commit-lsn"])
    with replay_paused(shop):
        written = register(shop)
        passed_over = reads_for(shop, "writes")
        assert written.json()["id"] not in listed_after(shop, before.json()["id"], None)
        assert reads_for(shop, "writes") == passed_over
        assert written.json()["id"] in listed_after(shop, before.json()["id"], written.headers["x-commit-lsn"])
        assert reads_for(shop, "writes") == passed_over + 1


def test_every_write_tells_its_position_and_no_read_does(shop: Shop) -> None:
    made = register(shop)
    user = f"/users/{made.json()['id']}"
    address = {"kind": "billing", "line1": "1 Mill Lane", "postal_code": "1", "city": "Berlin", "country": "DE"}
    any_version = {"if-match": "*"}
    tokens = [made.headers["x-commit-lsn"]]
    for method, path, body in (
        ("PATCH", user, {"full_name": "Ada L."}),
        ("POST", f"{user}/addresses", address),
        ("DELETE", user, None),
    ):
        request: dict[str, Any] = {} if body is None else {"json": body}
        tokens.append(shop.call("users", method, path, headers=any_version, **request).headers["x-commit-lsn"])
    positions = [Positions(shop.env["USERS_DSN"]).read(token) for token in tokens]
    assert positions == sorted(set(positions))
    assert "x-commit-lsn" not in shop.call("users", "GET", "/users?limit=1").headers
    assert "x-commit-lsn" not in shop.call("users", "POST", "/users", json={}).headers


@pytest.mark.parametrize("token", ["0/16B3748", "", Positions("another service").write(1)])
def test_a_foreign_position_is_refused(shop: Shop, token: str) -> None:
    response = shop.call("users", "GET", "/users?limit=1", headers={"X-Commit-LSN": token})
    assert (response.status_code, response.json()["type"]) == (400, "urn:millrace:problem:invalid-position")
