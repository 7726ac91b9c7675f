"""The order saga as a table, and the two ways through it. Knows no engine: `Run` is how an engine runs one step.

    step        undo                                         | until it succeeds or
    ------------------------------------------------------------------------------------------------
    place       fail: FAILED, or CANCELLED if asked for      | the deadline
    reserve     release                                      | the deadline
    authorise   void: nothing stays set aside or taken       | the deadline
    commit      (release restocks)                           | the deadline
    capture     -            the pivot                       | refused for good; then undone
    confirm     -                                            | for ever
    notify      -                                            | for ever; never undoes anything

A request with an Idempotency-Key has `settle` before `notify`, and after the undos: its reply is stored (for ever).

An undo is owed from before its step is tried, because a step whose answer was lost may have happened. Undos run in
reverse order and for ever.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from services.orders.retries import Refusal
from services.orders.steps import Placement, Steps


class Run(Protocol):
    """Runs a step once and keeps its answer (JSON): asked for the same step again, it gives the kept answer."""

    async def __call__(self, name: str, step: Callable[[], Awaitable[Any]], /) -> Any: ...


@dataclass(frozen=True, slots=True)
class _Step:
    name: str
    do: Callable[[Steps, Placement], Awaitable[Refusal | None]]
    undo: Callable[[Steps, UUID, str], Awaitable[None]] | None = None


async def _release(steps: Steps, order_id: UUID, _: str) -> None:
    await steps.release(order_id)


TO_THE_PIVOT = (
    _Step("place", Steps.place, Steps.fail),
    _Step("reserve", Steps.reserve, _release),
    _Step("authorise", Steps.authorise, Steps.void),
    _Step("commit", Steps.commit),
    _Step("capture", Steps.capture),
)
_UNDO_NAMES = {"place": "fail", "reserve": "release", "authorise": "void"}
_MAX_REASON = 200


async def place(run: Run, steps: Steps, given: Placement, decided: Callable[[Refusal | None], None]) -> Refusal | None:
    """Place the order; None when it is CONFIRMED. `decided` hears the outcome before the mail is sent."""
    owed: list[_Step] = []
    for step in TO_THE_PIVOT:
        owed.append(step)
        refusal = await run(step.name, partial(step.do, steps, given))
        if refusal is not None:
            await undo(run, steps, given.order_id, refusal["detail"], owed)
            await _settle(run, steps, given, refusal)
            decided(refusal)
            return dict(refusal)
    await run("confirm", partial(steps.confirm, given))
    await _settle(run, steps, given, None)
    decided(None)
    await run("notify", partial(steps.notify, given))
    return None


async def _settle(run: Run, steps: Steps, given: Placement, refusal: Refusal | None) -> None:
    if given.key is not None:
        await run("settle", partial(steps.settle, given, refusal))


async def undo(run: Run, steps: Steps, order_id: UUID, reason: str, owed: list[_Step]) -> None:
    for step in reversed(owed):
        if step.undo is not None:
            await run(_UNDO_NAMES[step.name], partial(step.undo, steps, order_id, reason[:_MAX_REASON]))


async def cancel(run: Run, steps: Steps, order_id: UUID) -> Refusal | None:
    """Cancel the order: its placing is undone if it comes in time, else it is restocked and refunded afterwards."""
    refusal = await run("request", partial(steps.request_cancellation, order_id))
    if refusal is not None:
        return dict(refusal)
    if await run("settled", partial(steps.settled, order_id)) == "CONFIRMED":
        await run("release", partial(steps.release, order_id))
        await run("void", partial(steps.void, order_id, "order cancelled"))
        await run("cancel", partial(steps.cancel, order_id))
    return None


async def abandon(run: Run, steps: Steps, order_id: UUID) -> Refusal | None:
    """Undo and fail an order that nobody else finishes."""
    await undo(run, steps, order_id, "abandoned: placing it was interrupted", list(TO_THE_PIVOT))
    return None
