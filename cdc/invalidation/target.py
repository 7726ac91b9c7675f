"""The caches' Redis: values below a floor are deleted, the floor stays a while, and whoever holds copies is told.

A value is text that begins with its version, twenty digits: the order of a snapshot of the source (`cdc.invalidation.order`)
that it is not older than. ``floor:<key>`` and ``floor:<prefix>`` hold the version below which caches must accept nothing; they
live longer than a cache takes to load a value. The news is JSON on one channel: ``{"keys": [...]}`` or ``{"prefix": "..."}``.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import orjson
from redis import Redis
from redis.exceptions import RedisError

from cdc.errors import TransientError

CHANNEL = "cache:invalidated"
FLOOR_MS = 60_000
_KEYS_AT_ONCE = 500
_SCANNED_AT_ONCE = 1000

_INVALIDATE = """
for i = 3, #ARGV do
    local key = ARGV[i]
    local held = redis.call('GETRANGE', key, 0, 19)
    if held ~= '' and not (string.match(held, '^%d+$') and held >= ARGV[1]) then redis.call('DEL', key) end
    local floor = redis.call('GET', 'floor:' .. key)
    if not floor or floor < ARGV[1] then redis.call('SET', 'floor:' .. key, ARGV[1], 'PX', ARGV[2]) end
end
"""
"""ARGV: the floor, its milliseconds, then the keys. A value at or above the floor holds the change already, and stays."""


class CacheTarget:
    """One Redis. Calls return when it has answered, and raise `TransientError` when it does not."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        self._script = self._redis.register_script(_INVALIDATE)

    def close(self) -> None:
        """End the connections."""
        self._redis.close()

    def life(self) -> str:
        """Which life of the server this is: another one may have lost the last second of what was written."""
        with _answers():
            return str(self._redis.info("server")["run_id"])

    def invalidate(self, keys: Sequence[str], floor: int) -> None:
        """Delete what the keys hold below the floor, leave the floor, and tell."""
        with _answers():
            for some in _lots(keys, _KEYS_AT_ONCE):
                self._script([], [b"%020d" % floor, FLOOR_MS, *some])
                self._redis.publish(CHANNEL, orjson.dumps({"keys": some}))

    def sweep(self, prefix: str, floor: int) -> int:
        """Delete everything under the prefix, leave a floor for it, and tell; how many keys there were.

        The floor comes first: what is stored behind the scan's back is not older.
        """
        pattern = re.sub(r"([*?\[\]\\])", r"\\\1", prefix) + "*"
        gone = cursor = 0
        with _answers():
            self._redis.set(f"floor:{prefix}", b"%020d" % floor, px=FLOOR_MS)
            while True:
                cursor, keys = self._redis.scan(cursor, match=pattern, count=_SCANNED_AT_ONCE)
                gone += self._redis.unlink(*keys) if keys else 0
                if cursor == 0:
                    break
            self._redis.publish(CHANNEL, orjson.dumps({"prefix": prefix}))
        return gone

    def remembered(self, name: str) -> str | None:
        """What `remember` kept under the name."""
        with _answers():
            value = self._redis.get(f"invalidation:{name}")
        return value.decode() if isinstance(value, bytes) else None

    def remember(self, name: str, value: str) -> None:
        """Keep a text where it is lost together with what it is about."""
        with _answers():
            self._redis.set(f"invalidation:{name}", value)


@contextmanager
def _answers() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise TransientError(f"Redis does not answer: {' '.join(str(error).split())}") from error


def _lots(keys: Sequence[str], size: int) -> Iterator[list[str]]:
    for begin in range(0, len(keys), size):
        yield list(keys[begin : begin + size])
