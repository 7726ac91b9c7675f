"""Trying again what failed for the moment, and how a refusal is kept as JSON so that an engine can store it."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg

from services.kit.problem import ProblemError, Unavailable
from services.orders.eventstore import VersionConflict

T = TypeVar("T")
Refusal = dict[str, Any]
"""status, slug, detail and members of the problem that ended an order."""

TRANSIENT = (Unavailable, VersionConflict, psycopg.OperationalError, psycopg.InterfaceError)
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0

logger = logging.getLogger(__name__)


class Refused(ProblemError):
    """A stored refusal, raised again."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal["detail"], **refusal["members"])
        self.status = refusal["status"]  # type: ignore[misc]
        self.slug = refusal["slug"]  # type: ignore[misc]


def refusal_of(problem: ProblemError, order_id: object) -> Refusal:
    """The problem with the order's id, so that the order can be looked at."""
    members = {"order_id": str(order_id), **problem.members}
    return {"status": problem.status, "slug": problem.slug, "detail": problem.detail, "members": members}


async def patiently(work: Callable[[], Awaitable[T]], until: float) -> T:
    """Try until the clock says `until` (seconds since the epoch) while it fails for the moment; then its last error."""
    pause = _FIRST_PAUSE_S
    while True:
        try:
            return await work()
        except TRANSIENT:
            if time.time() + pause > until:
                raise
        pause = await _rest(pause)


async def for_ever(what: str, work: Callable[[], Awaitable[T]], final: tuple[type[Exception], ...] = ()) -> T:
    """Try until it succeeds, whatever goes wrong but the `final` errors: nothing else may be done instead."""
    pause = _FIRST_PAUSE_S
    while True:
        try:
            return await work()
        except final:
            raise
        except TRANSIENT as error:
            logger.warning("%s is tried again: %s", what, error)
        except Exception:
            logger.exception("%s is tried again, but it looks like a fault of ours", what)
        pause = await _rest(pause)


async def _rest(pause: float) -> float:
    """Wait about so long; how long next time."""
    await asyncio.sleep(pause * random.uniform(0.75, 1.25))
    return min(pause * 2, _LONGEST_PAUSE_S)
