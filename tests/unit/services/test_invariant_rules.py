"""What an order's facts say about it, without a server: the rules that join databases."""

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from services.invariants.rules import Order, broken, rules

ORDER_ID = UUID(int=1)
PAID = {"captured": Decimal("20.00"), "refunded": Decimal(), "currency": "EUR", "promised": False, "quiet": True}
GIVEN_BACK = PAID | {"refunded": Decimal("20.00")}
NOT_TAKEN = PAID | {"captured": Decimal()}


def order(status: str, **members: Any) -> dict[str, Any]:
    return {"status": status, "total": Decimal("20.00"), "currency": "EUR", "lines": {"p": 2}, "quiet": True, **members}


def goods(state: str, quantity: int = 2, product: str = "p") -> dict[str, Any]:
    return {"product_id": product, "state": state, "quantity": quantity, "quiet": True}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Order(order("CONFIRMED"), [PAID], [goods("committed")]), set()),
        (Order(order("CONFIRMED"), [GIVEN_BACK], [goods("committed")]), set()),  # a refund is no violation
        (Order(order("CONFIRMED"), [NOT_TAKEN], [goods("committed")]), {"confirmed_orders_are_paid"}),
        (Order(order("CONFIRMED"), [PAID, PAID], [goods("committed")]), {"confirmed_orders_are_paid"}),
        (Order(order("CONFIRMED"), [PAID], [goods("committed", 3)]), {"confirmed_orders_have_their_goods"}),
        (Order(order("CONFIRMED"), [PAID], [goods("committed"), goods("held", 1, "q")]), {"confirmed_orders_have_their_goods"}),
        (Order(order("CONFIRMED")), {"confirmed_orders_are_paid", "confirmed_orders_have_their_goods"}),
        (Order(order("FAILED", lines={})), set()),
        (Order(order("FAILED"), [NOT_TAKEN], [goods("released")]), set()),
        (Order(order("FAILED"), [PAID], [goods("expired")]), {"ended_orders_keep_no_money"}),
        (Order(order("CANCELLED"), [GIVEN_BACK], [goods("released")]), set()),
        (Order(order("CANCELLED"), [GIVEN_BACK], [goods("committed")]), {"ended_orders_hold_no_goods"}),
        (Order(order("CANCELLED"), [NOT_TAKEN | {"promised": True}], [goods("held")]),
         {"ended_orders_keep_no_money", "ended_orders_hold_no_goods"}),
        (Order(None, [GIVEN_BACK], [goods("released")]), set()),
        (Order(None, [PAID]), {"money_and_goods_have_an_order"}),
        (Order(None, [], [goods("held")]), {"money_and_goods_have_an_order"}),
        (Order(None, [NOT_TAKEN | {"promised": True}]), {"money_and_goods_have_an_order"}),
    ],
)  # fmt: skip
def test_what_an_order_breaks(facts: Order, expected: set[str]) -> None:
    assert {name for name, _ in broken(ORDER_ID, facts)} == expected


@pytest.mark.parametrize("moving", ["order", "payment", "goods"])
def test_what_moves_is_not_judged(moving: str) -> None:
    facts = Order(
        order("FAILED", quiet=moving != "order"),
        [PAID | {"quiet": moving != "payment"}],
        [goods("held") | {"quiet": moving != "goods"}],
    )
    assert not list(broken(ORDER_ID, facts))


def test_every_file_says_what_it_means() -> None:
    assert all(rule.meaning.endswith(".") for rule in rules())
