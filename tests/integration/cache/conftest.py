"""A cache on the stack's Redis with a source of the test's own, and the side that invalidates."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field

import pytest
from prometheus_client import REGISTRY
from redis.asyncio import Redis

from cdc.invalidation.target import CacheTarget
from services.kit.cache import Cache, Lifetimes
from services.kit.cache_shared import Shared, connect
from tests.conftest import Stack

LONG = Lifetimes(near=(600.0, 600.0))
"""Only news ends what L1 has."""


@dataclass
class Origin:
    """What stands for the database: values with the version that a reading of them has, and how often it was asked."""

    rows: dict[str, tuple[int, bytes | None]] = field(default_factory=dict)
    loads: int = 0
    at_once: int = 0
    most_at_once: int = 0
    held: asyncio.Event | None = None

    async def load(self, key: str) -> tuple[int, bytes | None]:
        self.loads, self.at_once = self.loads + 1, self.at_once + 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        row = self.rows.get(key, (1, None))
        if self.held is not None:
            await self.held.wait()
        self.at_once -= 1
        return row


@dataclass
class Bench:
    """What a test of the cache works with."""

    url: str
    prefix: str
    origin: Origin
    target: CacheTarget

    @asynccontextmanager
    async def cache(self, lifetimes: Lifetimes = LONG, *, following: bool = True) -> AsyncIterator[Cache[str]]:
        """A process' cache, following the news."""
        async with connect(self.url) as redis:
            cache = Cache(self.prefix, Shared(redis, self.prefix), self.origin.load, bytes.decode, lifetimes=lifetimes)
            if not following:
                yield cache
                return
            emptied = self.emptied()
            async with cache.following():
                await until(lambda: self.emptied() > emptied)  # a subscription that begins empties level one
                yield cache

    def emptied(self) -> float:
        """How often level one of this test's caches was emptied."""
        return REGISTRY.get_sample_value("millrace_cache_emptied_total", {"cache": self.prefix}) or 0

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[tuple[Shared, Redis]]:
        """Level two alone."""
        async with connect(self.url) as redis:
            yield Shared(redis, self.prefix), redis

    async def invalidate(self, key: str, floor: int) -> None:
        """As the consumer of changes does it."""
        await asyncio.to_thread(self.target.invalidate, [self.prefix + key], floor)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Return once the condition holds; fail when it does not within so many seconds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def bench(stack: Stack) -> Iterator[Bench]:
    with closing(CacheTarget(stack.env["REDIS_URL"])) as target:
        yield Bench(stack.env["REDIS_URL"], f"test-{uuid.uuid4().hex}:", Origin(), target)
