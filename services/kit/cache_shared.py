"""The level of a cache that processes share: values in Redis, never an older one over a newer, and the news of changes.

A value is stored under ``<prefix><key>`` as a header of fixed width and the bytes; the header begins with the version,
twenty digits, so that scripts can compare it as text. Whoever invalidates keeps to this (cdc.invalidation does):
``floor:<name>``, of a key or of a prefix, holds the version below which nothing is accepted, for `FLOOR_S` seconds; and
what was invalidated is told on `CHANNEL` as a JSON object ``{"keys": [...]}`` or ``{"prefix": ...}``.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

CHANNEL = "cache:invalidated"
FLOOR_S = 60
_HEADER = 20 + 13 + 10 + 1
_TIMEOUT_S = 0.5
# After a failure nobody waits for Redis for so long: a server that hangs would cost every read its timeout.
_REST_S = 0.5
_QUIET_S = 2.0

STORE = """
if ARGV[4] ~= '' and redis.call('GET', KEYS[4]) == ARGV[4] then redis.call('DEL', KEYS[4]) end
for i = 2, 3 do
    local floor = redis.call('GET', KEYS[i])
    if floor and ARGV[1] < floor then return 0 end
end
local held = redis.call('GETRANGE', KEYS[1], 0, 19)
if string.match(held, '^%d+$') and ARGV[1] < held then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
"""KEYS: the value, the floors of key and prefix, the lock. ARGV: version, value, milliseconds to live, the lock's token."""

UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@dataclass(frozen=True, slots=True)
class Entry:
    """A value as L2 holds it; times in seconds (since 1970; of its load)."""

    version: int
    body: bytes | None
    expires_at: float
    took_s: float

    def dump(self) -> bytes:
        kind = b"-" if self.body is None else b"+"
        header = b"%020d%013d%010d%b" % (self.version, self.expires_at * 1e3, min(self.took_s * 1e6, 1e9), kind)
        return header + (self.body or b"")

    @classmethod
    def parse(cls, value: bytes | str | None) -> "Entry | None":
        """The inverse of `dump`; None for anything else, which is a miss."""
        if not isinstance(value, bytes) or len(value) < _HEADER or not value[: _HEADER - 1].isdigit():
            return None
        kind, body = value[_HEADER - 1 : _HEADER], value[_HEADER:]
        return cls(
            int(value[:20]), body if kind == b"+" else None, int(value[20:33]) / 1e3, int(value[33 : _HEADER - 1]) / 1e6
        )


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Redis]:
    """A client that gives up soon and is not asked twice: what it cannot answer the database does."""
    client = Redis.from_url(
        url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, retry=Retry(NoBackoff(), 0)
    )
    try:
        yield client
    finally:
        await client.aclose()


class Shared:
    """Values under one prefix. Calls raise `RedisError` when Redis does not answer, for a moment without asking it."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis, self._prefix = redis, prefix
        self._store, self._unlock = redis.register_script(STORE), redis.register_script(UNLOCK)
        self._asked_again_at = 0.0

    async def read(self, key: str) -> Entry | None:
        """The value, or None."""
        async with self._asked():
            return Entry.parse(await self._redis.get(self._prefix + key))

    async def look(self, key: str) -> tuple[Entry | None, bool]:
        """The value, and whether somebody is loading it."""
        async with self._asked():
            value, lock = await self._redis.mget(self._prefix + key, self._lock(key))
            return Entry.parse(value), lock is not None

    async def lock(self, key: str, seconds: float) -> str | None:
        """The lock's token; None when another has it."""
        token = secrets.token_hex(8)
        async with self._asked():
            return token if await self._redis.set(self._lock(key), token, nx=True, px=int(seconds * 1000)) else None

    async def unlock(self, key: str, token: str | None) -> None:
        """Let go of the lock when it is ours still."""
        async with self._asked():
            await self._unlock([self._lock(key)], [token or ""])

    async def store(self, key: str, entry: Entry, token: str | None) -> bool:
        """Store the value and let go of the lock; False when a newer one, or a newer change, is known."""
        name = self._prefix + key
        life = max(1, int((entry.expires_at - time.time()) * 1000))
        async with self._asked():
            keys = [name, f"floor:{name}", f"floor:{self._prefix}", self._lock(key)]
            return bool(await self._store(keys, [b"%020d" % entry.version, entry.dump(), life, token or ""]))

    async def follow(self, drop: Callable[[str], None], empty: Callable[[], None]) -> None:
        """Tell of invalidations until cancelled: of keys (without the prefix), or that all may be stale."""
        while True:
            try:
                async with self._redis.pubsub() as news:
                    await news.subscribe(CHANNEL)
                    await self._hear(news, drop, empty)
            except (RedisError, OSError):
                empty()
            await asyncio.sleep(_REST_S)  # a server that is away tells nobody when it is back

    async def _hear(self, news: Any, drop: Callable[[str], None], empty: Callable[[], None]) -> None:
        silent = False
        while True:
            message = await news.get_message(timeout=_QUIET_S)
            if message is None:
                if silent:
                    raise RedisConnectionError("no answer to a ping")
                silent = True
                await news.ping()
                continue
            silent = False
            if message["type"] == "subscribe":  # also when the client has connected anew by itself
                empty()
            elif message["type"] == "message":
                self._tell(orjson.loads(message["data"]), drop, empty)

    def _tell(self, told: dict[str, Any], drop: Callable[[str], None], empty: Callable[[], None]) -> None:
        if told.get("prefix") == self._prefix:
            empty()
        for name in told.get("keys", ()):
            if name.startswith(self._prefix):
                drop(name.removeprefix(self._prefix))

    def _lock(self, key: str) -> str:
        return f"lock:{self._prefix}{key}"

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[None]:
        if time.monotonic() < self._asked_again_at:
            raise RedisConnectionError("Redis did not answer a moment ago")
        try:
            yield
        except (RedisConnectionError, RedisTimeoutError):
            self._asked_again_at = time.monotonic() + _REST_S
            raise
