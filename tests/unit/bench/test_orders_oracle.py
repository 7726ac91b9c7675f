"""The judge of the orders' chaos sees what is wrong, and says nothing where all is well."""

from decimal import Decimal

import pytest

from bench.chaos.orders_load import Shop, Told
from bench.chaos.orders_oracle import Order, goods, money, truth
from bench.chaos.orders_plan import DECLINED, GOOD, Wish

TOTAL, NOTHING = Decimal("12.80"), Decimal(0)
CONFIRMED = Order("o1", "u1", "CONFIRMED", TOTAL, was_confirmed=True)
FAILED = Order("o2", "u2", "FAILED", TOTAL, was_confirmed=False)
SHOP = Shop(["u1", "u2"], ["p1"], {"p1": 10})


def told(order: Order, *, kind: str = GOOD, answer: int = 201, status: str | None = None) -> Told:
    return Told(Wish(0, kind, "tok_ok", {0: 1}), order.user, answer, order.id, status or order.status)


def test_what_adds_up_is_not_complained_of() -> None:
    payments = [("o1", "CAPTURED", TOTAL, NOTHING), ("o2", "REFUNDED", TOTAL, TOTAL)]
    assert not list(money([CONFIRMED, FAILED], payments))
    assert not list(goods(SHOP, [("p1", 7, 0, 3, 10)], {"p1": 3}))
    assert not list(truth([CONFIRMED, FAILED], [told(CONFIRMED), told(FAILED, kind=DECLINED, answer=402)]))


@pytest.mark.parametrize(
    "payment",
    [
        [("o1", "AUTHORISED", NOTHING, NOTHING), ("o2", "VOIDED", NOTHING, NOTHING)],
        [("o1", "CAPTURED", TOTAL - 1, NOTHING)],
        [("o1", "CAPTURED", TOTAL, NOTHING), ("o2", "CAPTURED", TOTAL, NOTHING)],
        [("o1", "CAPTURED", TOTAL, NOTHING), ("o2", "AUTHORISED", NOTHING, NOTHING)],
        [],
    ],
)
def test_money_that_was_not_taken_or_was_kept_is_seen(payment: list[tuple[object, ...]]) -> None:
    assert len(list(money([CONFIRMED, FAILED], payment))) == 1


@pytest.mark.parametrize("stock", [(6, 0, 3, 10), (6, 1, 3, 10), (6, 0, 4, 10), (7, 0, 3, 11)])
def test_pieces_that_are_lost_held_or_sold_to_nobody_are_seen(stock: tuple[int, ...]) -> None:
    assert len(list(goods(SHOP, [("p1", *stock)], {"p1": 3}))) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        told(FAILED, answer=201),
        told(FAILED, status="CONFIRMED", answer=503),
        told(CONFIRMED, kind=DECLINED, answer=202),
        Told(Wish(0, GOOD, "tok_ok", {0: 1}), "u1", 422),
    ],
)
def test_a_customer_who_was_told_something_else_is_seen(wrong: Told) -> None:
    assert len(list(truth([CONFIRMED, FAILED], [wrong]))) == 1
