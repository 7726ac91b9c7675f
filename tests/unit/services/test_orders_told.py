"""What others are told of an order: how it began and how it ended, whatever else its stream holds."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from services.orders import events, stream
from services.orders.order import Order, Recorded, evolve

ORDER, USER, PRODUCT = (UUID(int=number) for number in (1, 2, 3))
NOW = datetime(2026, 1, 31, tzinfo=UTC)
LINE = stream.Line(PRODUCT, "K-1", "Bread knife", 2, Decimal("12.50"))
NOTHING = Decimal("0.00")
PLACED = stream.OrderPlaced(USER, "EUR", "card")
RESERVED = stream.StockReserved((LINE,), "EUR", Decimal("25.00"), NOTHING, NOTHING, Decimal("4.90"))


def after(*facts: stream.Event) -> Order:
    order = None
    for version, fact in enumerate(facts, start=1):
        order = evolve(order, Recorded(ORDER, version, fact, NOW))
    assert order is not None
    return order


def told(*facts: stream.Event) -> list[events.OrderEvent]:
    """What is told of the last of these."""
    before = after(*facts[:-1]) if facts[:-1] else None
    return events.told(before, [facts[-1]], after(*facts))


def test_a_placed_order_names_its_user_and_no_more() -> None:
    assert told(PLACED) == [events.OrderPlaced(order_id=ORDER, user_id=USER)]


def test_a_confirmed_order_tells_its_lines_and_sums() -> None:
    [event] = told(PLACED, RESERVED, stream.CaptureBegun(), stream.OrderConfirmed())
    assert event.data() == {
        "order_id": str(ORDER),
        "user_id": str(USER),
        "currency": "EUR",
        "lines": [
            {
                "product_id": str(PRODUCT),
                "sku": "K-1",
                "name": "Bread knife",
                "quantity": 2,
                "unit_price": "12.50",
            }
        ],
        "subtotal": "25.00",
        "discount": "0.00",
        "tax": "0.00",
        "shipping": "4.90",
        "total": "29.90",
    }


def test_what_goes_on_inside_is_not_told() -> None:
    assert told(PLACED, RESERVED) == told(PLACED, RESERVED, stream.CaptureBegun()) == []
    assert told(PLACED, stream.CancellationRequested()) == []


def test_a_failed_order_tells_why() -> None:
    assert told(PLACED, stream.OrderFailed("sold out")) == [
        events.OrderFailed(order_id=ORDER, user_id=USER, reason="sold out")
    ]


def test_a_cancelled_order_tells_whether_it_had_been_confirmed() -> None:
    cancelled = events.OrderCancelled(order_id=ORDER, user_id=USER, confirmed=False)
    assert told(PLACED, stream.CancellationRequested(), stream.OrderCancelled()) == [cancelled]
    confirmed = (PLACED, RESERVED, stream.CaptureBegun(), stream.OrderConfirmed())
    assert told(*confirmed, stream.CancellationRequested(), stream.OrderCancelled()) == [
        cancelled.model_copy(update={"confirmed": True})
    ]


def test_facts_of_one_change_are_told_in_their_order() -> None:
    order = after(PLACED)
    failed = replace(order, version=2, status="FAILED")
    names = [event.type() for event in events.told(None, [PLACED, stream.OrderFailed("sold out")], failed)]
    assert names == ["OrderPlaced.v1", "OrderFailed.v1"]
