"""What can happen to an order, as facts of its own stream, and how they are written down and read back.

A stored type carries its version, such as `OrderPlaced.v2`. Written is the newest version only; an older one is brought
up to date, a version at a time, when it is read. A type that is not known here stops the reader: nothing is skipped.
Nobody outside reads this stream: what others are told is in events.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    product_id: UUID
    sku: str
    name: str
    quantity: int
    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class OrderPlaced:
    user_id: UUID
    currency: str
    payment_method: str


@dataclass(frozen=True, slots=True)
class StockReserved:
    lines: tuple[Line, ...]
    currency: str
    subtotal: Decimal
    discount: Decimal
    tax: Decimal
    shipping: Decimal


@dataclass(frozen=True, slots=True)
class CaptureBegun:
    """From here on the money may be ours: the order is finished forwards unless the capture is refused."""


@dataclass(frozen=True, slots=True)
class OrderConfirmed:
    pass


@dataclass(frozen=True, slots=True)
class OrderFailed:
    reason: str


@dataclass(frozen=True, slots=True)
class CancellationRequested:
    pass


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    pass


Event = (
    OrderPlaced | StockReserved | CaptureBegun | OrderConfirmed | OrderFailed | CancellationRequested | OrderCancelled
)

_KINDS: tuple[type[Event], ...] = (
    OrderPlaced,
    StockReserved,
    CaptureBegun,
    OrderConfirmed,
    OrderFailed,
    CancellationRequested,
    OrderCancelled,
)
_ADAPTERS: dict[str, TypeAdapter[Any]] = {kind.__name__: TypeAdapter(kind) for kind in _KINDS}


def _placed_without_method(data: Data) -> Data:
    return {**data, "payment_method": "unknown"}


UPCASTS: dict[tuple[str, int], Callable[[Data], Data]] = {("OrderPlaced", 1): _placed_without_method}
"""(type, version) -> the data as the next version has it."""


class UnknownEvent(Exception):
    """A stored event that this version of the service cannot read: a newer one wrote it, or the row is damaged."""


def newest(name: str) -> int:
    """The version in which events of this type are written."""
    return 1 + max((version for kind, version in UPCASTS if kind == name), default=0)


def write(event: Event) -> tuple[str, Data]:
    """The stored type and data."""
    name = type(event).__name__
    data: Data = _ADAPTERS[name].dump_python(event, mode="json")
    return f"{name}.v{newest(name)}", data


def read(stored: str, data: Data) -> Event:
    """The event of a stored type and data, of whatever version. Raises UnknownEvent."""
    name, _, number = stored.rpartition(".v")
    if name not in _ADAPTERS or not number.isdecimal() or not 1 <= int(number) <= newest(name):
        raise UnknownEvent(f"no event is called {stored}; it was written by a newer service: run that one")
    for version in range(int(number), newest(name)):
        data = UPCASTS[name, version](data)
    event: Event = _ADAPTERS[name].validate_python(data)
    return event
