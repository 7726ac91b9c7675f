"""What an order costs: exact to the cent."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.problem import Unprocessable
from services.orders.totals import totals

prices = st.decimals(min_value=0, max_value=Decimal("999999.99"), places=2)


@pytest.mark.parametrize(
    ("price", "quantity", "shipping", "total"),
    [
        ("12.50", 2, "4.90", "29.90"),
        ("49.99", 1, "4.90", "54.89"),
        ("25.00", 2, "0.00", "50.00"),
        ("0.00", 1, "4.90", "4.90"),
    ],
)
def test_shipping_is_free_from_fifty(price: str, quantity: int, shipping: str, total: str) -> None:
    sums = totals([(Decimal(price), quantity, "EUR")])
    assert (str(sums.shipping), str(sums.total)) == (shipping, total)


@given(st.lists(st.tuples(prices, st.integers(1, 1000), st.just("EUR")), min_size=1, max_size=9))
def test_totals_are_exact(lines: list[tuple[Decimal, int, str]]) -> None:
    sums = totals(lines)
    assert sums.subtotal == sum(price * quantity for price, quantity, _ in lines)
    assert sums.total == sums.subtotal - sums.discount + sums.tax + sums.shipping
    assert sums.total.as_tuple().exponent == -2


def test_one_order_has_one_currency() -> None:
    with pytest.raises(Unprocessable, match="EUR, USD"):
        totals([(Decimal("1.00"), 1, "EUR"), (Decimal("1.00"), 1, "USD")])


def test_a_total_that_the_database_cannot_hold_is_refused() -> None:
    with pytest.raises(Unprocessable, match="order less"):
        totals([(Decimal("999999.99"), 1000, "EUR")] * 11)
