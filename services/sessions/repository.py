"""Sessions in Redis: one hash each under the hash of its id, and for each user the set of them.

    session:{sha256 of the id}   user, reference, device, created, seen, epoch; gone at the end of the idle or absolute life
    sessions-of:{user id}        sorted set of those hashes by the end of their absolute life

Times are milliseconds since 1970. Redis never sees an id: who reads Redis can open no session. What changes a session
does so in one script, so that nothing brings back one that was ended meanwhile.
"""

import hashlib
from dataclasses import dataclass

from redis.asyncio import Redis

_CREATE = """
redis.call('HSET', KEYS[1], 'user', ARGV[1], 'reference', ARGV[2], 'device', ARGV[3], 'epoch', ARGV[4],
  'created', ARGV[5], 'seen', ARGV[5], 'ends', ARGV[6])
redis.call('PEXPIRE', KEYS[1], math.min(tonumber(ARGV[7]), ARGV[6] - ARGV[5]))
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[5])
redis.call('ZADD', KEYS[2], ARGV[6], ARGV[8])
redis.call('PEXPIREAT', KEYS[2], ARGV[6])
"""
_TOUCH = """
local ends = redis.call('HGET', KEYS[1], 'ends')
if not ends then return nil end
redis.call('HSET', KEYS[1], 'seen', ARGV[1])
redis.call('PEXPIRE', KEYS[1], math.max(1, math.min(tonumber(ARGV[2]), ends - ARGV[1])))
return redis.call('HGETALL', KEYS[1])
"""


@dataclass(frozen=True, slots=True)
class SessionRow:
    hash: str
    user: str
    reference: str
    device: str
    epoch: int
    created: int
    seen: int
    ends: int


def hash_of(session_id: str) -> str:
    return hashlib.sha256(session_id.encode()).hexdigest()


class Store:
    def __init__(self, redis: Redis, idle_ms: int) -> None:
        self._redis = redis
        self._idle_ms = idle_ms
        self._create = redis.register_script(_CREATE)
        self._touch = redis.register_script(_TOUCH)

    async def answers(self) -> None:
        """Return when Redis answers; raises RedisError when it does not."""
        await self._redis.ping()

    async def create(self, row: SessionRow) -> None:
        await self._create(
            keys=[_session(row.hash), _index(row.user)],
            args=[row.user, row.reference, row.device, row.epoch, row.created, row.ends, self._idle_ms, row.hash],
        )

    async def touch(self, session_id: str, now: int) -> SessionRow | None:
        """The session, which has been seen now; None when there is none, or no longer."""
        hashed = hash_of(session_id)
        pairs = await self._touch(keys=[_session(hashed)], args=[now, self._idle_ms])
        return _row(hashed, dict(zip(pairs[::2], pairs[1::2], strict=True))) if pairs else None

    async def of_user(self, user: str) -> list[SessionRow]:
        """The user's sessions, the oldest first. Those that have expired are forgotten here too."""
        hashes = await self._hashes(user)
        async with self._redis.pipeline(transaction=False) as pipeline:
            for hashed in hashes:
                pipeline.hgetall(_session(hashed))
            found = await pipeline.execute()
        if gone := [hashed for hashed, fields in zip(hashes, found, strict=True) if not fields]:
            await self._redis.zrem(_index(user), *gone)
        rows = [_row(hashed, fields) for hashed, fields in zip(hashes, found, strict=True) if fields]
        return sorted(rows, key=lambda row: row.created)

    async def end(self, row: SessionRow) -> None:
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.delete(_session(row.hash))
            pipeline.zrem(_index(row.user), row.hash)
            await pipeline.execute()

    async def end_all(self, user: str) -> None:
        """End every session of the user that has begun until now."""
        if hashes := await self._hashes(user):
            async with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.delete(*(_session(hashed) for hashed in hashes))
                pipeline.zrem(_index(user), *hashes)
                await pipeline.execute()

    async def _hashes(self, user: str) -> list[str]:
        return [str(hashed) for hashed in await self._redis.zrange(_index(user), 0, -1)]


def _session(hashed: str) -> str:
    return f"session:{hashed}"


def _index(user: str) -> str:
    return f"sessions-of:{user}"


def _row(hashed: str, fields: dict[str, str]) -> SessionRow:
    numbers = {name: int(fields[name]) for name in ("epoch", "created", "seen", "ends")}
    return SessionRow(hashed, fields["user"], fields["reference"], fields["device"], **numbers)
