"""The order as a state that follows from its events, and the rules of what may happen next. Pure: asks nobody.

    decide   (order, command) -> the events to append; none when the command was carried out before
    evolve   (order, recorded event) -> the order after it

                       ┌─ CancellationRequested ─▶ (undone) CANCELLED
    PENDING ─ StockReserved ─ CaptureBegun ─ OrderConfirmed ─▶ CONFIRMED ─ CancellationRequested ─ OrderCancelled ─▶ CANCELLED
       └─ OrderFailed ─▶ FAILED

The stream decides races: a cancellation that is requested before CaptureBegun undoes the order; one that comes later
waits for CONFIRMED and is carried out then.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import assert_never
from uuid import UUID

from services.kit.problem import Conflict, NotFound
from services.orders.stream import (
    CancellationRequested,
    CaptureBegun,
    Event,
    Line,
    OrderCancelled,
    OrderConfirmed,
    OrderFailed,
    OrderPlaced,
    StockReserved,
)

_NOTHING = Decimal("0.00")
MAX_REASON = 500


class BrokenStream(Exception):
    """Stored events that no sequence of commands can have written."""


class NotCancellable(Conflict):
    slug = "not-cancellable"


class OrderCancelledMeanwhile(Conflict):
    slug = "order-cancelled"


class OrderClosed(Conflict):
    slug = "order-not-pending"


@dataclass(frozen=True, slots=True)
class Order:
    id: UUID
    version: int
    user_id: UUID
    status: str
    failure: str | None
    payment_method: str
    currency: str
    subtotal: Decimal
    discount: Decimal
    tax: Decimal
    shipping: Decimal
    lines: tuple[Line, ...]
    capturing: bool
    cancelling: bool
    placed_at: datetime
    reserved_at: datetime | None
    updated_at: datetime

    @property
    def total(self) -> Decimal:
        return self.subtotal - self.discount + self.tax + self.shipping


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event at its place in the stream."""

    stream_id: UUID
    version: int
    event: Event
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Place:
    event: OrderPlaced


@dataclass(frozen=True, slots=True)
class Reserve:
    event: StockReserved


@dataclass(frozen=True, slots=True)
class BeginCapture:
    pass


@dataclass(frozen=True, slots=True)
class Confirm:
    pass


@dataclass(frozen=True, slots=True)
class Fail:
    """Everything is undone: FAILED, or CANCELLED when that was asked for."""

    reason: str


@dataclass(frozen=True, slots=True)
class RequestCancellation:
    pass


@dataclass(frozen=True, slots=True)
class Cancel:
    pass


Command = Place | Reserve | BeginCapture | Confirm | Fail | RequestCancellation | Cancel


def decide(order: Order | None, command: Command) -> list[Event]:
    """The events that carry the command out. Raises a problem when the order's state forbids it."""
    if isinstance(command, Place):
        return [command.event] if order is None else _same_placing(order, command.event)
    if order is None:
        raise NotFound("there is no such order")
    match command:
        case Reserve():
            return _reserve(order, command.event)
        case BeginCapture():
            return _begin_capture(order)
        case Confirm():
            return _confirm(order)
        case Fail():
            return _fail(order, command.reason)
        case RequestCancellation():
            return _request_cancellation(order)
        case Cancel():
            return _cancel(order)
        case _:
            assert_never(command)


def _same_placing(order: Order, placed: OrderPlaced) -> list[Event]:
    if order.user_id != placed.user_id:
        raise OrderClosed(f"order {order.id} is another customer's")
    return []


def _going_on(order: Order) -> None:
    if order.cancelling or order.status == "CANCELLED":
        raise OrderCancelledMeanwhile(f"order {order.id} was cancelled before it was confirmed")
    if order.status != "PENDING":
        raise OrderClosed(f"order {order.id} is {order.status} already; place a new one")


def _reserve(order: Order, reserved: StockReserved) -> list[Event]:
    if order.lines == reserved.lines:
        return []
    _going_on(order)
    if order.lines:
        raise OrderClosed(f"order {order.id} has other lines already")
    return [reserved]


def _begin_capture(order: Order) -> list[Event]:
    if order.capturing and order.status in ("PENDING", "CONFIRMED"):
        return []
    _going_on(order)
    if not order.lines:
        raise OrderClosed(f"order {order.id} has no lines; there is nothing to take money for")
    return [CaptureBegun()]


def _confirm(order: Order) -> list[Event]:
    if order.status == "PENDING" and order.capturing:
        return [OrderConfirmed()]
    if order.status in ("PENDING", "FAILED"):
        raise OrderClosed(f"order {order.id} is {order.status} and not paid; it cannot be confirmed")
    return []


def _fail(order: Order, reason: str) -> list[Event]:
    if order.status == "CONFIRMED":
        raise OrderClosed(f"order {order.id} is CONFIRMED; it can be cancelled, not failed")
    if order.status != "PENDING":
        return []
    return [OrderCancelled() if order.cancelling else OrderFailed(reason[:MAX_REASON])]


def _request_cancellation(order: Order) -> list[Event]:
    if order.status == "FAILED":
        raise NotCancellable(f"order {order.id} is FAILED; there is nothing to cancel")
    return [] if order.cancelling else [CancellationRequested()]


def _cancel(order: Order) -> list[Event]:
    if order.status == "CANCELLED":
        return []
    if order.status != "CONFIRMED" or not order.cancelling:
        raise NotCancellable(f"order {order.id} is {order.status}; only a CONFIRMED order can be cancelled")
    return [OrderCancelled()]


def evolve(order: Order | None, recorded: Recorded) -> Order:
    """The order after the event. Refuses nothing: the event is a fact."""
    if order is None:
        return _placed(recorded)
    after = replace(order, version=recorded.version, updated_at=recorded.recorded_at)
    match recorded.event:
        case OrderPlaced():
            raise BrokenStream(f"order {order.id} is placed twice in its stream, at version {recorded.version}")
        case StockReserved() as reserved:
            sums = {name: getattr(reserved, name) for name in ("currency", "subtotal", "discount", "tax", "shipping")}
            return replace(after, lines=reserved.lines, reserved_at=recorded.recorded_at, **sums)
        case CaptureBegun():
            return replace(after, capturing=True)
        case OrderConfirmed():
            return replace(after, status="CONFIRMED")
        case OrderFailed(reason):
            return replace(after, status="FAILED", failure=reason)
        case CancellationRequested():
            return replace(after, cancelling=True)
        case OrderCancelled():
            return replace(after, status="CANCELLED", cancelling=True)
        case _:
            assert_never(recorded.event)


def _placed(recorded: Recorded) -> Order:
    placed = recorded.event
    if not isinstance(placed, OrderPlaced):
        raise BrokenStream(f"the stream of order {recorded.stream_id} does not begin with its placing")
    return Order(
        id=recorded.stream_id,
        version=recorded.version,
        user_id=placed.user_id,
        status="PENDING",
        failure=None,
        payment_method=placed.payment_method,
        currency=placed.currency,
        subtotal=_NOTHING,
        discount=_NOTHING,
        tax=_NOTHING,
        shipping=_NOTHING,
        lines=(),
        capturing=False,
        cancelling=False,
        placed_at=recorded.recorded_at,
        reserved_at=None,
        updated_at=recorded.recorded_at,
    )
