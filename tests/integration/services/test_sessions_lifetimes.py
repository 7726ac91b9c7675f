"""Sessions in Redis: they end by themselves, unused or old, and the user's index forgets them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

from services.kit.redis import connect
from services.sessions.repository import SessionRow, Store, hash_of
from tests.integration.services.shop import Stack

Use = Callable[[Store], Awaitable[None]]


def with_store(stack: Stack, idle_ms: int, use: Use) -> None:
    async def run() -> None:
        async with connect(stack.env["REDIS_URL"]) as redis:
            await use(Store(redis, idle_ms))

    asyncio.run(run())


def now() -> int:
    return time.time_ns() // 1_000_000


def row(user: str, session: str, lives_ms: int) -> SessionRow:
    began = now()
    return SessionRow(hash_of(session), user, uuid4().hex, "test", 1, began, began, began + lives_ms)


async def until_gone(store: Store, user: str) -> None:
    deadline = time.monotonic() + 10
    while await store.of_user(user):
        assert time.monotonic() < deadline, "the session did not end"
        await asyncio.sleep(0.02)  # polls Redis' clock


def test_an_unused_session_ends_and_the_index_forgets_it(stack: Stack) -> None:
    user, session = str(uuid4()), uuid4().hex

    async def use(store: Store) -> None:
        await store.create(row(user, session, 3_600_000))
        assert [found.hash for found in await store.of_user(user)] == [hash_of(session)]
        await until_gone(store, user)
        assert await store.touch(session, now()) is None
        assert await store._redis.exists(f"sessions-of:{user}") == 0

    with_store(stack, 200, use)


def test_a_used_session_ends_at_its_absolute_end(stack: Stack) -> None:
    user, session = str(uuid4()), uuid4().hex

    async def use(store: Store) -> None:
        await store.create(row(user, session, 400))
        used = 0
        while await store.touch(session, now()) is not None:
            used += 1
            assert used < 100_000
        assert used > 0
        await until_gone(store, user)

    with_store(stack, 3_600_000, use)


def test_use_moves_the_idle_end_but_not_the_absolute_one(stack: Stack) -> None:
    user, session = str(uuid4()), uuid4().hex

    async def use(store: Store) -> None:
        made = row(user, session, 60_000)
        await store.create(made)
        key = f"session:{made.hash}"
        await store._redis.pexpire(key, 1_000)
        seen = await store.touch(session, made.created + 5_000)
        assert seen is not None
        assert (seen.seen, seen.ends) == (made.created + 5_000, made.ends)
        assert 20_000 < await store._redis.pttl(key) <= 30_000
        await store.touch(session, made.created + 50_000)
        assert 0 < await store._redis.pttl(key) <= 10_000

    with_store(stack, 30_000, use)


def test_the_index_forgets_old_sessions_when_a_new_one_begins(stack: Stack) -> None:
    user = str(uuid4())

    async def use(store: Store) -> None:
        await store.create(row(user, "old", 1))
        await store._redis.zadd(f"sessions-of:{user}", {"older": now() - 1000})
        await store.create(row(user, f"new {user}", 60_000))
        assert await store._redis.zrange(f"sessions-of:{user}", 0, -1) == [hash_of(f"new {user}")]

    with_store(stack, 30_000, use)


def test_an_ended_session_is_not_brought_back_by_its_use(stack: Stack) -> None:
    user, session = str(uuid4()), uuid4().hex

    async def use(store: Store) -> None:
        made = row(user, session, 60_000)
        await store.create(made)
        await asyncio.gather(store.end_all(user), *(store.touch(session, now()) for _ in range(20)))
        assert await store.touch(session, now()) is None
        assert await store.of_user(user) == []

    with_store(stack, 30_000, use)
