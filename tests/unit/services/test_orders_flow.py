"""The saga's table with steps of our own: undone in reverse, from the step that failed on, and replayed after a crash."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast
from uuid import UUID

import pytest

from services.kit.idempotency import Key
from services.orders import flow
from services.orders.retries import Refusal
from services.orders.steps import Placement, Steps

GIVEN = Placement(UUID(int=1), UUID(int=2), {UUID(int=3): 1}, "card", "tok_ok", 0.0)
REFUSAL: Refusal = {"status": 409, "slug": "refused", "detail": "no", "members": {}}
FORWARD = ["place", "reserve", "authorise", "commit", "capture"]
# What is owed once a step was tried, its own undo included.
OWED = {
    "place": ["fail"],
    "reserve": ["release", "fail"],
    "authorise": ["void", "release", "fail"],
    "commit": ["void", "release", "fail"],
    "capture": ["void", "release", "fail"],
}


class Recording(Steps):
    """Steps that only note that they were called; `refusing` answers with a refusal."""

    def __init__(self, refusing: str | None = None) -> None:
        self.called: list[str] = []
        self._refusing = refusing

    def __getattribute__(self, name: str) -> Any:
        if name not in {*FORWARD, "confirm", "settle", "notify", "void", "release", "fail"}:
            return super().__getattribute__(name)

        async def step(*_: object) -> Refusal | None:
            self.called.append(name)
            return REFUSAL if name == self._refusing else None

        return step


class Kept:
    """An engine in memory: keeps the answers; `crash_before` the step that is never reached, once."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.crash_before: str | None = None

    async def __call__(self, name: str, step: Callable[[], Awaitable[Any]], /) -> Any:
        if name not in self.answers:
            if name == self.crash_before:
                raise ConnectionAbortedError
            self.answers[name] = await step()
        return self.answers[name]


@pytest.fixture(autouse=True)
def _steps_of_the_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table names methods of Steps; here they are those of the recording one."""
    for table, names in (("TO_THE_PIVOT", flow.TO_THE_PIVOT),):
        monkeypatch.setattr(flow, table, tuple(_of_instance(step) for step in names))


def _of_instance(step: Any) -> Any:
    undo = {"place": "fail", "reserve": "release", "authorise": "void"}.get(step.name)
    return type(step)(
        step.name,
        lambda steps, given: getattr(steps, step.name)(given),
        None if undo is None else lambda steps, order_id, reason: getattr(steps, undo)(order_id, reason),
    )


def place(steps: Recording, engine: Kept, given: Placement = GIVEN) -> tuple[Refusal | None, list[Refusal | None]]:
    decided: list[Refusal | None] = []
    outcome = asyncio.run(flow.place(cast(flow.Run, engine), steps, given, decided.append))
    return outcome, decided


def test_all_steps_in_order_and_the_caller_hears_before_the_mail() -> None:
    steps = Recording()
    assert place(steps, Kept()) == (None, [None])
    assert steps.called == [*FORWARD, "confirm", "notify"]


@pytest.mark.parametrize("refusing", FORWARD)
def test_what_may_have_happened_is_undone_in_reverse(refusing: str) -> None:
    steps = Recording(refusing)
    assert place(steps, Kept()) == (REFUSAL, [REFUSAL])
    assert steps.called == [*FORWARD[: FORWARD.index(refusing) + 1], *OWED[refusing]]


def test_the_reply_of_a_request_with_a_key_is_stored_once_all_is_done_or_undone() -> None:
    given, steps, refusing = replace(GIVEN, key=Key("demo", "k", "00")), Recording(), Recording("authorise")
    place(steps, Kept(), given)
    assert steps.called[-3:] == ["confirm", "settle", "notify"]
    place(refusing, Kept(), given)
    assert refusing.called == ["place", "reserve", "authorise", *OWED["authorise"], "settle"]


@pytest.mark.parametrize("refusing", [None, "commit"])
@pytest.mark.parametrize("crash_before", ["reserve", "capture", "confirm", "notify", "void", "fail"])
def test_after_a_crash_no_step_with_an_answer_is_done_again(refusing: str | None, crash_before: str) -> None:
    steps, engine = Recording(refusing), Kept()
    engine.crash_before = crash_before
    undisturbed = Recording(refusing)
    place(undisturbed, Kept())
    if crash_before in undisturbed.called:
        with pytest.raises(ConnectionAbortedError):
            place(steps, engine)
    engine.crash_before = None
    place(steps, engine)
    assert steps.called == undisturbed.called
