"""What an order costs. Pure: takes lines, gives exact amounts, asks nobody.

Prices include tax, so `tax` is 0.00; there are no discounts yet; shipping costs 4.90 below a subtotal of 50.00.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from services.kit.problem import RuleBroken

FREE_SHIPPING_FROM = Decimal("50.00")
SHIPPING = Decimal("4.90")
# What numeric(12, 2) holds.
MAX_TOTAL = Decimal("9999999999.99")


@dataclass(frozen=True, slots=True)
class Totals:
    currency: str
    subtotal: Decimal
    discount: Decimal
    tax: Decimal
    shipping: Decimal

    @property
    def total(self) -> Decimal:
        return self.subtotal - self.discount + self.tax + self.shipping


def totals(lines: Sequence[tuple[Decimal, int, str]]) -> Totals:
    """Totals of (unit price, quantity, currency) lines. Raises RuleBroken on mixed currencies or too much."""
    currencies = sorted({currency for _, _, currency in lines})
    if len(currencies) != 1:
        raise RuleBroken(f"one order has one currency, these products have {', '.join(currencies)}; order them apart")
    subtotal = sum((price * quantity for price, quantity, _ in lines), Decimal("0.00"))
    shipping = SHIPPING if subtotal < FREE_SHIPPING_FROM else Decimal("0.00")
    sums = Totals(currencies[0], subtotal, Decimal("0.00"), Decimal("0.00"), shipping)
    if sums.total > MAX_TOTAL:
        raise RuleBroken(f"the order's total {sums.total} is above {MAX_TOTAL}; order less at once")
    return sums
