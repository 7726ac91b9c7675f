"""Lists when the replica is away or too far behind: they come from the primary, and nobody gets a 503."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from services.kit import position, replica
from services.kit.position import Positions, Scope
from services.kit.replica import Replica
from tests.conftest import Stack
from tests.integration.services.shop import Shop
from tests.integration.services.test_own_writes import register, replay_paused

T = TypeVar("T")


@dataclass
class Where:
    replica: bool


@dataclass
class Written:
    id: str


WHERE = "SELECT pg_is_in_recovery() AS replica"


def reading(dsn: str, primary_dsn: str, work: Callable[[Replica], Awaitable[T]]) -> T:
    async def run() -> T:
        async with Replica(dsn, primary_dsn, "test") as opened:
            return await work(opened)

    return asyncio.run(run())


async def where(opened: Replica) -> bool:
    """Whether the replica answered."""
    answer = await opened.one(Where, WHERE)
    assert answer is not None
    return answer.replica


def nobody(dsn: str) -> str:
    """The same address on a port where nobody listens."""
    return make_conninfo(dsn, port=1)


@contextmanager
def wanting(token: str) -> Iterator[None]:
    """A request that brings this position."""
    mark = position.scope.set(Scope(token))
    try:
        yield
    finally:
        position.scope.reset(mark)


def test_a_replica_that_answers_is_read(shop: Shop) -> None:
    assert reading(shop.env["USERS_REPLICA_DSN"], shop.env["USERS_DSN"], where)


def test_without_a_replica_the_primary_is_read(shop: Shop) -> None:
    async def work(opened: Replica) -> None:
        assert not await where(opened)
        assert await opened.standing() is not None

    reading(nobody(shop.env["USERS_REPLICA_DSN"]), shop.env["USERS_DSN"], work)


def test_a_read_of_the_primary_can_write_nothing(shop: Shop) -> None:
    async def write(opened: Replica) -> None:
        await opened.one(Written, "DELETE FROM users RETURNING id::text")

    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reading(nobody(shop.env["USERS_REPLICA_DSN"]), shop.env["USERS_DSN"], write)


def test_a_replica_far_behind_is_passed_over_until_it_has_caught_up(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "MAX_LAG_S", 0.2)
    monkeypatch.setattr(replica, "_LOOK_AGAIN_S", 0.0)

    async def eventually(opened: Replica, from_replica: bool) -> None:
        deadline = time.monotonic() + 20
        while await where(opened) != from_replica:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

    async def work(opened: Replica) -> None:
        await eventually(opened, from_replica=True)
        with replay_paused(shop):
            register(shop)
            await eventually(opened, from_replica=False)
            assert "behind" in str(await opened.standing())
        await eventually(opened, from_replica=True)
        assert await opened.standing() is None

    reading(shop.env["USERS_REPLICA_DSN"], shop.env["USERS_DSN"], work)


def test_without_a_primary_a_replica_behind_is_read_but_not_by_who_wrote(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "MAX_LAG_S", -1.0)
    monkeypatch.setattr(replica, "WAIT_S", 0.2)
    away = nobody(shop.env["USERS_DSN"])

    async def work(opened: Replica) -> None:
        assert await where(opened)
        with wanting(Positions(away).write(1)), pytest.raises(psycopg.OperationalError):
            await where(opened)

    reading(shop.env["USERS_REPLICA_DSN"], away, work)


def test_lists_are_answered_while_the_replica_is_killed(stack: Stack, shop: Shop) -> None:
    stack.kill("postgres-replica")
    answers = {shop.call("users", "GET", "/users?limit=1").status_code}
    while not stack.report().healthy:
        answers.add(shop.call("users", "GET", "/users?limit=1").status_code)
        answers.add(shop.call("users", "GET", "/readyz").status_code)
    assert answers == {200}
