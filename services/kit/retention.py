"""What a service forgets: technical rows that have served their time, removed in lots, so that no table grows without bound.

Any number of processes may sweep at once: a lot skips rows that another one holds. Refuses to touch facts of the shop, which
stay. docs/services/kit.md lists what is kept how long.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from prometheus_client import Counter
from pydantic import Field

from services.kit import idempotency, inbox
from services.kit.db import Primary
from services.kit.problem import Unavailable
from services.kit.settings import GuardedSettings

_EVERY_S = 600.0

SWEPT = Counter("millrace_swept_rows", "Technical rows that were removed because their time was over", ["what"])

logger = logging.getLogger(__name__)


class KeptSettings(GuardedSettings):
    """Settings of a service that has a database and a door."""

    idempotency_kept_h: float = Field(
        default=24.0,
        gt=0,
        validation_alias="IDEMPOTENCY_KEPT_H",
        description="hours for which replies are kept: no client repeats a request for longer",
    )
    inbox_kept_d: float = Field(
        default=14.0,
        gt=0,
        validation_alias="INBOX_KEPT_D",
        description="days for which taken events are remembered: longer than any topic keeps them",
    )


@dataclass(frozen=True, slots=True)
class Sweep:
    """`lot` removes some rows whose time is over, and says how many; 0 when there are no more."""

    what: str
    lot: Callable[[], Awaitable[int]]


def of_every_service(primary: Primary, kept: KeptSettings) -> tuple[Sweep, ...]:
    """The sweeps of the tables that every service's database has."""
    return (
        Sweep("idempotency", lambda: idempotency.sweep(primary, kept.idempotency_kept_h)),
        Sweep("inbox", lambda: inbox.sweep(primary, timedelta(days=kept.inbox_kept_d))),
    )


async def sweep(what: Sweep) -> int:
    """Remove all whose time is over, lot by lot; how many there were."""
    removed = 0
    while lot := await what.lot():
        SWEPT.labels(what.what).inc(lot)
        removed += lot
    return removed


async def keep_sweeping(*sweeps: Sweep) -> None:
    """Sweep until cancelled."""
    while True:
        for each in sweeps:
            try:
                await sweep(each)
            except (psycopg.Error, Unavailable) as error:
                logger.warning("old rows (%s) could not be removed: %s", each.what, error)
            except Exception:
                logger.exception("old rows (%s) could not be removed", each.what)
        await asyncio.sleep(_EVERY_S)
