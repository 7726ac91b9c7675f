"""The rate limits that every route of a service shares: by principal, or by network address where nobody is known."""

import logging
import time

from fastapi import Request
from redis.exceptions import RedisError

from services.kit.principal import Principal
from services.kit.rate_limits import Limit, Limiter

PER_USER = Limit("user", 600, 60)
# A saga's steps come as fast as the orders do; this only stops a service that runs wild.
PER_SERVICE = Limit("service", 60_000, 60)
PER_ADDRESS = Limit("address", 600, 60)
# While Redis is away nothing is counted, and it is not asked again at every request.
_PAUSE_S = 1.0

logger = logging.getLogger("services.guard")


class Guard:
    """Raises TooManyRequests. Lets everything pass while Redis is away: a limit is no reason to be down."""

    def __init__(
        self,
        limiter: Limiter,
        *,
        user: Limit = PER_USER,
        service: Limit = PER_SERVICE,
        address: Limit = PER_ADDRESS,
    ) -> None:
        self._limiter = limiter
        self._principals = {"user": user, "service": service}
        self._address = address
        self._silent_until = 0.0

    async def principal(self, principal: Principal) -> None:
        await self._take(self._principals[principal.kind], principal.subject)

    async def address(self, request: Request) -> None:
        await self._take(self._address, address_of(request))

    async def _take(self, limit: Limit, who: str) -> None:
        if time.monotonic() < self._silent_until:
            return
        try:
            await self._limiter.take(limit, who)
        except RedisError as error:
            self._silent_until = time.monotonic() + _PAUSE_S
            logger.warning("nothing is limited while Redis is away: %s", type(error).__name__)


def address_of(request: Request) -> str:
    """The caller's network address; behind a proxy on this machine the one that it forwards."""
    return request.client.host if request.client else "unknown"
