"""Rate limits: exact while the window stands, decaying with it, and no reason to be down."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from services.kit.guard import Guard
from services.kit.principal import Principal
from services.kit.rate_limits import Limit, Limiter, TooManyRequests
from services.kit.redis import connect
from tests.integration.services.shop import Stack

Use = Callable[[Limiter], Awaitable[None]]


def with_limiter(url: str, use: Use) -> None:
    async def run() -> None:
        async with connect(url) as redis:
            await use(Limiter(redis))

    asyncio.run(run())


async def tries(limiter: Limiter, limit: Limit, who: str, count: int) -> int:
    """How many of `count` tries at once are let through."""
    outcomes = await asyncio.gather(*(limiter.take(limit, who) for _ in range(count)), return_exceptions=True)
    assert all(outcome is None or isinstance(outcome, TooManyRequests) for outcome in outcomes)
    return outcomes.count(None)


def test_exactly_the_limit_passes_and_others_are_not_touched(stack: Stack) -> None:
    async def use(limiter: Limiter) -> None:
        limit, who = Limit("test", 7, 3600), uuid4().hex
        assert await tries(limiter, limit, who, 30) == 7
        assert await tries(limiter, limit, f"{who} other", 3) == 3
        assert await tries(limiter, Limit("test-other", 1, 3600), who, 3) == 1
        await limiter.give_back(limit, who)
        assert await tries(limiter, limit, who, 5) == 1
        with pytest.raises(TooManyRequests) as refused:
            await limiter.take(limit, who)
        assert 0 < refused.value.retry_after_s <= 7200

    with_limiter(stack.env["REDIS_URL"], use)


async def refused_for(limiter: Limiter, limit: Limit, who: str) -> int:
    """Seconds after which the first refused try may be repeated."""
    while True:
        try:
            await limiter.take(limit, who)
        except TooManyRequests as refusal:
            return refusal.retry_after_s


def test_who_waits_as_long_as_told_is_let_through(stack: Stack) -> None:
    async def use(limiter: Limiter) -> None:
        limit, who = Limit("test", 3, 1), uuid4().hex
        deadline = time.monotonic() + await refused_for(limiter, limit, who)
        while await tries(limiter, limit, who, 1) == 0:
            assert time.monotonic() < deadline + 5
            await asyncio.sleep(0.05)  # waits for Redis' clock

    with_limiter(stack.env["REDIS_URL"], use)


def test_the_window_before_counts_as_far_as_it_still_reaches(stack: Stack) -> None:
    async def run() -> None:
        async with connect(stack.env["REDIS_URL"]) as redis:
            limiter, limit, who = Limiter(redis), Limit("test", 100, 36_000), uuid4().hex
            await limiter.take(limit, who)
            [key] = [
                key async for key in redis.scan_iter(f"limit:test:{hashlib.sha256(who.encode()).hexdigest()[:32]}")
            ]
            slot = int(await redis.hget(key, "slot") or 0)
            passed = (time.time() % limit.seconds) / limit.seconds
            await redis.hset(key, mapping={"slot": slot - 1, "count": 80, "before": 100})
            let_through = await tries(limiter, limit, who, 120)
            assert abs(let_through - (100 - 80 * (1 - passed))) <= 1.5
            await redis.hset(key, mapping={"slot": slot - 2, "count": 100, "before": 100})
            assert await tries(limiter, limit, who, 120) == 100

    asyncio.run(run())


def test_without_redis_nothing_is_limited() -> None:
    async def use(limiter: Limiter) -> None:
        guard = Guard(limiter, user=Limit("user", 1, 3600))
        for _ in range(5):
            await guard.principal(Principal("anybody", "user", frozenset()))

    with_limiter("redis://127.0.0.1:1/0", use)


def test_each_kind_of_principal_has_its_own_limit(stack: Stack) -> None:
    async def use(limiter: Limiter) -> None:
        guard = Guard(limiter, user=Limit("test-user", 2, 3600), service=Limit("test-service", 4, 3600))
        subject = uuid4().hex
        for kind, allowed in (("user", 2), ("service", 4)):
            principal = Principal(subject, "user" if kind == "user" else "service", frozenset())
            for _ in range(allowed):
                await guard.principal(principal)
            with pytest.raises(TooManyRequests):
                await guard.principal(principal)

    with_limiter(stack.env["REDIS_URL"], use)
