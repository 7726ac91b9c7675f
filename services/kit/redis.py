"""A connection pool to Redis that fails soon: a service answers 503 rather than wait for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NotConnected

_TIMEOUT_S = 1.0
_CONNECTIONS = 50


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Redis]:
    """Texts in, texts out. A connection that broke is made anew once; whatever follows raises RedisError.

    Callers over the number of connections wait for one, as long as for an answer.
    """
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
        url,
        max_connections=_CONNECTIONS,
        timeout=_TIMEOUT_S,
        decode_responses=True,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1, supported_errors=(NotConnected,)),
    )
    redis = Redis.from_pool(pool)
    try:
        yield redis
    finally:
        await redis.aclose()
