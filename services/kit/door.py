"""What a service needs to know its callers, wired: the verifier of tokens and the guard that counts calls.

    async with door(app, settings.sessions_url, settings.redis_url) as checks:

A service whose routes declare who may call them (services.kit.auth) opens it for as long as it serves.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from services.kit import redis
from services.kit.guard import Guard
from services.kit.health import Check
from services.kit.rate_limits import Limiter
from services.kit.tokens import Verifier, fetch_from

_KEYS_TIMEOUT_S = 2.0


@asynccontextmanager
async def door(app: FastAPI, sessions_url: str, redis_url: str) -> AsyncIterator[Mapping[str, Check]]:
    """Put `verifier`, `guard` and `limiter` into the app's state; gives the readiness check of the tokens' keys.

    Redis is not among the checks: nothing is limited while it is away.
    """
    async with (
        redis.connect(redis_url) as connection,
        httpx.AsyncClient(timeout=_KEYS_TIMEOUT_S, trust_env=False) as http,
    ):
        verifier, limiter = Verifier(fetch_from(sessions_url, http)), Limiter(connection)
        app.state.verifier, app.state.guard, app.state.limiter = verifier, Guard(limiter), limiter
        yield {"keys": verifier.ready}
