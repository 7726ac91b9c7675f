"""Reading through three levels: this process (L1), Redis (L2), the database (L3). Nobody writes through it.

A miss is loaded once: callers of one process join its flight, other processes wait for the one that holds the rebuild
lock; a waiter that outlives the lock reads the database itself. What is not there is remembered too, more briefly.
Shortly before an entry of L2 expires one reader, drawn by chance, loads it anew while the others still hit (XFetch:
Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", PVLDB 8(8), 2015).

Why no stale value stays, once the news of a change has come (services.kit.cache_shared, docs/services/cache.md):

- Every loaded value bears the order of a snapshot taken before it was read (`SNAPSHOT_ORDER`), so it holds at least
  every change visible to that snapshot. Whoever invalidates takes such an order *after* the change has become visible
  and leaves it as the key's floor. A value below the floor may lack the change and is refused by L2, whether it comes
  before the news (then it is deleted) or after; one at or above it holds the change.
- A floor lives longer than a load may take; a load that took longer is answered, and kept nowhere.
- The news also reaches L1, by a channel: it drops the entry and takes the key's flight out of the map, so that the
  flight's value is not kept and later callers begin another. Lost news is bounded by L1's seconds, and a subscription
  that begins (again) empties L1.

Without Redis reads go to the database, so many at a time.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from cachebox import VTTLCache
from prometheus_client import Counter

from services.kit.cache_fill import AT_ONCE, HITS, SNAPSHOT_ORDER, Filling, Lifetimes, Load, SnapshotOrder, Tasks
from services.kit.cache_shared import Shared

__all__ = ["AT_ONCE", "SNAPSHOT_ORDER", "Cache", "Lifetimes", "SnapshotOrder"]

T = TypeVar("T")

_UNKNOWN: Any = object()

DROPPED = Counter("millrace_cache_invalidations", "Keys that L1 was told to drop.", ["cache"])
EMPTIED = Counter("millrace_cache_emptied", "Times that L1 was emptied.", ["cache"])


class Cache(Generic[T]):
    """One kind of values under ``prefix``. ``shape`` makes of a value's bytes what callers get, once for each time in L1."""

    def __init__(
        self,
        name: str,
        shared: Shared,
        load: Load,
        shape: Callable[[bytes], T],
        *,
        entries: int = 10_000,
        lifetimes: Lifetimes | None = None,
    ) -> None:
        self._shared, self._shape, self._tasks = shared, shape, Tasks()
        self._lives = lifetimes or Lifetimes()
        self._filling = Filling(name, shared, load, self._lives, self._tasks)
        self._near: VTTLCache[str, T | None] = VTTLCache(entries)
        self._flights: dict[str, asyncio.Task[T | None]] = {}
        self._near_hits = HITS.labels(name, "l1")
        self._dropped, self._emptied = DROPPED.labels(name), EMPTIED.labels(name)

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Within, L1 hears of invalidations."""
        task = self._tasks.spawn(self._shared.follow(self._drop, self._empty))
        try:
            yield
        finally:
            task.cancel()
            await self._tasks.end()

    def near(self, key: str) -> T | None:
        """The value if L1 has one; None says nothing. Spares the hottest reads what `get` may have to do."""
        value = self._near.get(key)
        if value is not None:
            self._near_hits.inc()
        return value

    async def get(self, key: str) -> T | None:
        """The value as `shape` makes it, or None where there is none. Raises what the load raises."""
        value: T | None = self._near.get(key, _UNKNOWN)
        if value is not _UNKNOWN:
            self._near_hits.inc()
            return value
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = self._tasks.spawn(self._fly(key))
        return await asyncio.shield(flight)  # a caller that hangs up ends no one else's flight

    async def _fly(self, key: str) -> T | None:
        me = asyncio.current_task()
        try:
            body, keep = await self._filling.find(key)
            value = None if body is None else self._shape(body)
            if keep and self._flights.get(key) is me:
                self._near.insert(key, value, random.uniform(*self._lives.near))
            return value
        finally:
            if self._flights.get(key) is me:
                del self._flights[key]

    def _drop(self, key: str) -> None:
        self._dropped.inc()
        self._near.pop(key, None)
        self._flights.pop(key, None)

    def _empty(self) -> None:
        self._emptied.inc()
        self._near.clear()
        self._flights.clear()
