"""The order's rules: whatever is asked in whatever order, its history stays one that makes sense."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.problem import ProblemError
from services.orders import stream
from services.orders.order import (
    BeginCapture,
    Cancel,
    Command,
    Confirm,
    Fail,
    Order,
    Place,
    Recorded,
    RequestCancellation,
    Reserve,
    decide,
    evolve,
)
from services.orders.stream import CaptureBegun, Event, Line, OrderCancelled, OrderFailed, OrderPlaced, StockReserved

ORDER, USER = UUID(int=1), UUID(int=2)
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
PLACED = OrderPlaced(USER, "EUR", "card")
RESERVED = StockReserved(
    (Line(UUID(int=3), "sku", "Bread knife", 2, Decimal("12.50")),),
    "EUR",
    Decimal("25.00"),
    Decimal("0.00"),
    Decimal("0.00"),
    Decimal("4.90"),
)
COMMANDS: list[Command] = [
    Place(PLACED), Reserve(RESERVED), BeginCapture(), Confirm(), Fail("declined"), RequestCancellation(), Cancel(),
]  # fmt: skip
FINAL = {"FAILED", "CANCELLED"}


def apply(order: Order | None, new: list[Event]) -> Order | None:
    for event in new:
        version = 1 if order is None else order.version + 1
        order = evolve(order, Recorded(ORDER, version, event, BEGINNING + timedelta(seconds=version)))
    return order


def carry_out(*commands: Command) -> tuple[Order, list[Event]]:
    order: Order | None = None
    history: list[Event] = []
    for command in commands:
        new = decide(order, command)
        history += new
        order = apply(order, new)
    assert order is not None
    return order, history


@given(st.lists(st.sampled_from(COMMANDS), max_size=25))
def test_whatever_is_asked_the_history_makes_sense(commands: list[Command]) -> None:
    order: Order | None = None
    history: list[Event] = []
    for command in [COMMANDS[0], *commands]:
        before = order
        try:
            new = decide(order, command)
        except ProblemError:
            continue
        order = apply(order, new)
        history += new
        assert order is not None
        if before is not None:
            assert before.status not in FINAL or before.status == order.status, "a final status was left"
            assert not (before.status == "CONFIRMED" and order.status in ("PENDING", "FAILED"))
        assert order.total == order.subtotal - order.discount + order.tax + order.shipping
        if order.status == "CONFIRMED":
            assert order.capturing and order.lines
        try:
            assert decide(order, command) == [], "a command that was carried out does something again"
        except ProblemError:
            pytest.fail("a command that was carried out is refused when it is repeated")
    kinds = [type(event) for event in history]
    assert len(kinds) == len(set(kinds)), "something happened twice"
    assert order == apply(None, history)
    assert order == apply(None, [stream.read(*stream.write(event)) for event in history])


def test_a_cancellation_before_the_capture_stops_it_and_a_later_one_waits() -> None:
    early, _ = carry_out(COMMANDS[0], COMMANDS[1], RequestCancellation())
    with pytest.raises(ProblemError, match="cancelled before it was confirmed"):
        decide(early, BeginCapture())
    assert decide(early, Fail("cancelled")) == [OrderCancelled()]
    late, _ = carry_out(COMMANDS[0], COMMANDS[1], BeginCapture(), RequestCancellation(), Confirm())
    assert late.status == "CONFIRMED"
    assert decide(late, Cancel()) == [OrderCancelled()]


def test_a_capture_that_is_refused_fails_the_order() -> None:
    order, history = carry_out(COMMANDS[0], COMMANDS[1], BeginCapture(), Fail("x" * 900))
    assert CaptureBegun() in history
    assert (order.status, order.failure) == ("FAILED", "x" * 500)


def test_an_event_of_an_older_version_is_brought_up_to_date() -> None:
    read = stream.read("OrderPlaced.v1", {"user_id": str(USER), "currency": "EUR"})
    assert read == OrderPlaced(USER, "EUR", "unknown")
    assert stream.write(read)[0] == "OrderPlaced.v2"


@pytest.mark.parametrize("stored", ["OrderPlaced.v3", "OrderPlaced.v0", "OrderPlaced", "OrderLost.v1"])
def test_an_event_that_is_not_known_stops_the_reader(stored: str) -> None:
    with pytest.raises(stream.UnknownEvent, match=stored):
        stream.read(stored, {})


def test_every_version_that_is_brought_up_to_date_has_a_next_one() -> None:
    for name, version in stream.UPCASTS:
        assert version < stream.newest(name)
        assert all((name, earlier) in stream.UPCASTS for earlier in range(version, stream.newest(name)))
    assert stream.newest(OrderFailed.__name__) == 1
