"""Rate limits: a sliding window for each caller, kept in Redis so that all processes of a service count together.

The window slides by weighing the one before (a caller who used it up waits for it to pass, there is no burst at the
edge of a minute); a script does it in one step with Redis' own clock. Names of callers are hashed: Redis learns no
e-mail address. Refuses to judge when Redis is away: `take` raises, and the caller of it decides what that means.
"""

import hashlib
import math
from dataclasses import dataclass

from redis.asyncio import Redis

from services.kit.problem import ProblemError

_TAKE = """
local time = redis.call('TIME')
local now, window, most = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[1]), tonumber(ARGV[2])
local slot, passed = math.floor(now / window), now % window
local held = redis.call('HMGET', KEYS[1], 'slot', 'count', 'before')
local count, before = tonumber(held[2] or 0), tonumber(held[3] or 0)
local age = slot - tonumber(held[1] or slot)
if age == 1 then before, count = count, 0 elseif age > 1 then before, count = 0, 0 end
if before * (window - passed) / window + count + 1 > most then
  if count + 1 <= most then return math.ceil(window * (1 - (most - 1 - count) / before) - passed) end
  return math.ceil(window - passed + window * (1 - (most - 1) / count))
end
redis.call('HSET', KEYS[1], 'slot', slot, 'count', count + 1, 'before', before)
redis.call('PEXPIRE', KEYS[1], 2 * window)
return 0
"""
_GIVE_BACK = """
if tonumber(redis.call('HGET', KEYS[1], 'count') or 0) > 0 then redis.call('HINCRBY', KEYS[1], 'count', -1) end
return 0
"""


class TooManyRequests(ProblemError):
    status, slug = 429, "too-many-requests"

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s: int = retry_after_s


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` within any `seconds`; `name` keeps the limits apart."""

    name: str
    count: int
    seconds: int


class Limiter:
    def __init__(self, redis: Redis) -> None:
        self._take = redis.register_script(_TAKE)
        self._give_back = redis.register_script(_GIVE_BACK)

    async def take(self, limit: Limit, who: str) -> None:
        """Count one for `who`. Raises TooManyRequests when it is one too many; that one is not counted."""
        wait_ms = int(await self._take(keys=[_key(limit, who)], args=[limit.seconds * 1000, limit.count]))
        if wait_ms > 0:
            seconds = math.ceil(wait_ms / 1000)
            raise TooManyRequests(f"more than {limit.count} in {limit.seconds} s; try again in {seconds} s", seconds)

    async def give_back(self, limit: Limit, who: str) -> None:
        """Uncount one that turned out to be harmless, such as a login with the right password."""
        await self._give_back(keys=[_key(limit, who)])


def _key(limit: Limit, who: str) -> str:
    return f"limit:{limit.name}:{hashlib.sha256(who.encode()).hexdigest()[:32]}"
