"""One process of the stampede: a hundred callers of one key at once, and a load that counts itself in Redis.

The load ends only when every process has its callers waiting, so that none of them can come late.
"""

import asyncio
import sys

from redis.asyncio import Redis

from services.kit.cache import Cache
from services.kit.cache_shared import Shared, connect


async def main(url: str, prefix: str, callers: int, processes: int) -> None:
    async with connect(url) as redis:

        async def load(key: str) -> tuple[int, bytes | None]:
            await redis.incr(f"{prefix}loads")
            while int(await redis.get(f"{prefix}ready") or 0) < processes:
                await asyncio.sleep(0.01)
            return 1, b"value of " + key.encode()

        cache = Cache("stampede", Shared(redis, prefix), load, bytes.decode)
        waiting = [asyncio.create_task(cache.get("hot")) for _ in range(callers)]
        await _until_read(redis, prefix)
        found = await asyncio.gather(*waiting)
        assert found == ["value of hot"] * callers


async def _until_read(redis: Redis, prefix: str) -> None:
    """Tell the others that our callers wait: each is a task that has begun."""
    await asyncio.sleep(0)
    await redis.incr(f"{prefix}ready")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
