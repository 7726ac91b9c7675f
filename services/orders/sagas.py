"""Sagas as operators see them: what is under way, for how long, and what is stuck; also as metrics."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from prometheus_client import Gauge
from pydantic import Field

from services.kit.problem import Conflict
from services.kit.schema import Output

OPEN = ("PENDING", "ENQUEUED", "DELAYED")
ENDED = "SUCCESS"
STUCK_AFTER_S = 120.0
MEASURED = 10_000
_EVERY_S = 15.0

logger = logging.getLogger(__name__)

OPEN_SAGAS = Gauge("millrace_orders_sagas_open", "Sagas that have not ended")
STUCK_SAGAS = Gauge("millrace_orders_sagas_stuck", f"Sagas that have not ended after {STUCK_AFTER_S:.0f} s")
OLDEST_SAGA = Gauge("millrace_orders_saga_oldest_age_seconds", "Age of the oldest saga that has not ended")


class SagaEnded(Conflict):
    slug = "saga-ended"


class Saga(Output):
    id: str = Field(description="the order's id, with :cancel for a cancellation")
    order_id: str
    kind: str = Field(description="place-order, cancel-order or abandon-order")
    state: Literal["open", "ended", "broken"] = Field(description="broken: the engine gave up; retry begins it anew")
    executor: str | None = Field(description="the process that runs it")
    started_at: datetime
    updated_at: datetime
    age_s: float = Field(description="from its start to its end, or to now")
    stuck: bool


class SagaStep(Output):
    name: str
    started_at: datetime | None
    ended_at: datetime | None
    answer: Any = Field(description="null, or the refusal that made the saga undo its steps")
    error: str | None


class SagaDetail(Saga):
    steps: list[SagaStep] = Field(description="those that have an answer; the next one is under way")


class SagaList(Output):
    items: list[Saga]


class Status(Protocol):
    """The engine's row, as far as it is shown."""

    workflow_id: str
    name: str
    status: Any
    executor_id: str | None
    created_at: int | None
    updated_at: int | None
    completed_at: int | None


def summary(status: Status, now: float) -> Saga:
    """The saga of an engine's row; times of the engine are milliseconds since the epoch."""
    state: Literal["open", "ended", "broken"] = "ended" if status.status == ENDED else "broken"
    if status.status in OPEN:
        state = "open"
    started = (status.created_at or 0) / 1000
    ended = now if state == "open" else (status.completed_at or status.updated_at or 0) / 1000
    return Saga(
        id=status.workflow_id,
        order_id=status.workflow_id.partition(":")[0],
        kind=status.name,
        state=state,
        executor=status.executor_id,
        started_at=datetime.fromtimestamp(started, UTC),
        updated_at=datetime.fromtimestamp((status.updated_at or 0) / 1000, UTC),
        age_s=round(max(ended - started, 0.0), 3),
        stuck=state == "open" and now - started > STUCK_AFTER_S,
    )


def measure(open_sagas: list[Saga]) -> None:
    """Set the metrics."""
    OPEN_SAGAS.set(len(open_sagas))
    STUCK_SAGAS.set(sum(saga.stuck for saga in open_sagas))
    OLDEST_SAGA.set(max((saga.age_s for saga in open_sagas), default=0.0))


async def keep_measuring(open_sagas: Callable[[], Awaitable[list[Saga]]]) -> None:
    """Set the metrics again and again until cancelled."""
    while True:
        await asyncio.sleep(_EVERY_S)
        try:
            measure(await open_sagas())
        except Exception:
            logger.exception("the sagas could not be measured")
