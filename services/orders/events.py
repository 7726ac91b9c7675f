"""What orders tells others of, in `events.orders`: how an order began and how it ended, made of the facts of its stream.

The stream (stream.py) is the service's own and has more to tell: what is told here stays as it is when the stream changes.
"""

from typing import ClassVar
from uuid import UUID

from services.kit.events import Data, Event, Money
from services.orders import stream
from services.orders.order import Order


class OrderEvent(Event):
    aggregate: ClassVar[str] = "orders"

    order_id: UUID
    user_id: UUID
    """Means nobody any more once the user was erased."""

    @property
    def key(self) -> UUID:
        return self.order_id


class OrderPlaced(OrderEvent):
    """Somebody wants to buy; nothing is held or paid yet."""


class OrderLine(Data):
    product_id: UUID
    sku: str
    name: str
    quantity: int
    unit_price: Money


class OrderConfirmed(OrderEvent):
    """The order is paid for and its pieces are sold."""

    currency: str
    lines: tuple[OrderLine, ...]
    subtotal: Money
    discount: Money
    tax: Money
    shipping: Money
    total: Money


class OrderFailed(OrderEvent):
    """All that was done for it is undone."""

    reason: str


class OrderCancelled(OrderEvent):
    """`confirmed` says whether it had been: then it was given back, else it never came about."""

    confirmed: bool


EVENTS: tuple[type[Event], ...] = (OrderPlaced, OrderConfirmed, OrderFailed, OrderCancelled)


def told(before: Order | None, new: list[stream.Event], after: Order) -> list[OrderEvent]:
    """What others are told when `new` was appended to an order that was `before` (None: was not there)."""
    ids = {"order_id": after.id, "user_id": after.user_id}
    return [event for fact in new if (event := _told(before, fact, after, ids)) is not None]


def _told(before: Order | None, fact: stream.Event, after: Order, ids: dict[str, UUID]) -> OrderEvent | None:
    match fact:
        case stream.OrderPlaced():
            return OrderPlaced(**ids)
        case stream.OrderConfirmed():
            lines = tuple(OrderLine.model_validate(line) for line in after.lines)
            return OrderConfirmed(
                **ids,
                currency=after.currency,
                lines=lines,
                subtotal=after.subtotal,
                discount=after.discount,
                tax=after.tax,
                shipping=after.shipping,
                total=after.total,
            )
        case stream.OrderFailed(reason):
            return OrderFailed(**ids, reason=reason)
        case stream.OrderCancelled():
            return OrderCancelled(**ids, confirmed=before is not None and before.status == "CONFIRMED")
        case _:
            return None
