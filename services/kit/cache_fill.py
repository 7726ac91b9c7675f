"""What the process's own level of a cache lacks: found in Redis (L2), or loaded from the database once and stored there.

Other processes wait for the one that holds the key's rebuild lock; a waiter that outlives the lock reads the database
itself. Why no stale value stays is told in services.kit.cache, which nothing but this serves.
"""

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, LiteralString

from prometheus_client import Counter
from redis.exceptions import RedisError

from services.kit.cache_shared import FLOOR_S, Entry, Shared

SNAPSHOT_ORDER: LiteralString = (
    "pg_snapshot_xmax(pg_current_snapshot())::text::bigint * 65536 + 65535"
    " - least(65535, (SELECT count(*) FROM pg_snapshot_xip(pg_current_snapshot())))"
)
"""A number that never falls from one snapshot of a primary to a later one, and rises when anything was committed between:
the upper bound of its transactions never falls, and while it stands still those in progress below it only become fewer."""


@dataclass(frozen=True, slots=True)
class SnapshotOrder:
    """The row that a load reads it as."""

    number: int


AT_ONCE = 8
_PAUSE_S = (0.01, 0.03)
_ATTEMPTS = 3

HITS = Counter("millrace_cache_hits", "Reads answered by a level.", ["cache", "level"])
LOADS = Counter("millrace_cache_loads", "Reads of the database.", ["cache"])
REFUSED = Counter("millrace_cache_stale_refusals", "Loaded values that L2 refused as older than it knows.", ["cache"])

logger = logging.getLogger("services.cache")


def _early(entry: Entry) -> bool:
    """Whether this reader should load the entry anew: the likelier, the sooner it expires and the longer a load takes."""
    return time.time() - entry.took_s * math.log(1 - random.random()) >= entry.expires_at


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Seconds. ``near`` is drawn anew for each entry; ``shared`` varies by a tenth, so that entries do not expire together."""

    near: tuple[float, float] = (1.0, 5.0)
    shared: float = 3600.0
    absent: float = 30.0
    lock: float = 3.0


Load = Callable[[str], Awaitable[tuple[int, bytes | None]]]
"""Given the key without its prefix: the snapshot order taken beforehand, and the value or None where there is none."""


class Tasks:
    """Work that outlives whoever began it. What goes wrong there is logged."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def end(self) -> None:
        """Wait until nothing is under way."""
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.info("a load failed: %s", error)  # its callers have been told, if any was left


class Filling:
    """Finds values in L2 and the database, and keeps L2 filled."""

    def __init__(self, name: str, shared: Shared, load: Load, lifetimes: Lifetimes, tasks: Tasks) -> None:
        self._shared, self._load, self._lives, self._tasks = shared, load, lifetimes, tasks
        self._database = asyncio.Semaphore(AT_ONCE)
        self._shared_hits = HITS.labels(name, "l2")
        self._loads, self._refused = LOADS.labels(name), REFUSED.labels(name)

    async def find(self, key: str) -> tuple[bytes | None, bool]:
        """The value from L2 or the database, and whether L1 may keep it."""
        try:
            entry = await self._shared.read(key)
            token = None if entry else await self._shared.lock(key, self._lives.lock)
            if entry is None and token is None:
                entry = await self._other(key)
        except RedisError:
            return (await self._read(key))[1], True
        if entry is None:
            return await self._rebuild(key, token)
        self._shared_hits.inc()
        if _early(entry):
            self._tasks.spawn(self._refresh(key))
        return entry.body, True

    async def _other(self, key: str) -> Entry | None:
        """What the holder of the lock stores; None when it has let go or its time is over."""
        deadline = time.monotonic() + self._lives.lock
        while time.monotonic() < deadline:
            await asyncio.sleep(random.uniform(*_PAUSE_S))  # Redis does not tell when a key is written
            entry, locked = await self._shared.look(key)
            if entry is not None or not locked:
                return entry
        return None

    async def _rebuild(self, key: str, token: str | None) -> tuple[bytes | None, bool]:
        for _ in range(_ATTEMPTS):
            began = time.monotonic()
            try:
                version, body = await self._read(key)
            except BaseException:
                self._tasks.spawn(self._shared.unlock(key, token))
                raise
            took = time.monotonic() - began
            if took > FLOOR_S / 2:
                return body, False
            life = self._lives.absent if body is None else self._lives.shared * random.uniform(0.9, 1.1)
            try:
                if await self._shared.store(key, Entry(version, body, time.time() + life, took), token):
                    return body, True
            except RedisError:
                return body, True
            self._refused.inc()
        return body, False

    async def _refresh(self, key: str) -> None:
        """Load a value that is about to expire, unless somebody does so already."""
        try:
            if token := await self._shared.lock(key, self._lives.lock):
                await self._rebuild(key, token)
        except RedisError:
            return

    async def _read(self, key: str) -> tuple[int, bytes | None]:
        async with self._database:
            self._loads.inc()
            return await self._load(key)
