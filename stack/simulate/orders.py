"""One order after the other, from its placing to its end: what happens to it, and when each step of it was done.

The states follow from the events by the orders service's own rules (services.orders.order), so the tables that are written
are what a rebuild from the events would make.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Literal
from uuid import UUID

from services.orders.order import Order, Recorded, evolve
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
from services.orders.totals import totals
from stack.simulate.customers import Customer, Customers
from stack.simulate.goods import CURRENCY, Product
from stack.simulate.history import History, Ids
from stack.simulate.seasons import moments
from stack.simulate.shelves import Shelves

Outcome = Literal["confirmed", "sold_out", "declined", "timed_out", "withdrawn", "cancelled", "partly_refunded"]
OUTCOMES: dict[Outcome, float] = {
    "confirmed": 0.85,
    "declined": 0.045,
    "timed_out": 0.005,
    "withdrawn": 0.01,
    "cancelled": 0.06,
    "partly_refunded": 0.03,
}
"""Chances of an order whose pieces are there: timed out and withdrawn end before the money is taken, cancelled after."""
UNPAID = ("declined", "timed_out", "withdrawn")
_METHODS = {"card": 0.7, "wallet": 0.2, "invoice": 0.1}
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Placed:
    """An order with all that followed. `payment_id` is None when it never came to a payment; `ended_at` is when it was undone
    or refunded, `refunded` what went back."""

    order: Order
    recorded: list[Recorded]
    customer: Customer
    products: list[Product]
    outcome: Outcome
    payment_id: UUID | None
    captured_at: datetime | None
    ended_at: datetime | None
    refunded: Decimal


class Placing:
    """Places the orders of a history; the shelves follow."""

    def __init__(self, history: History, products: list[Product], customers: Customers, shelves: Shelves) -> None:
        self._history = history
        self._chooser: Random = history.chooser("orders")
        self._ids, self._payments = Ids(history, 4), Ids(history, 5)
        self._customers, self._shelves = customers, shelves
        self._products = products
        self._shares = _running([product.share for product in products])
        self._sold_from = [product.since for product in products]

    def orders(self) -> Iterator[Placed]:
        """All of them, by the time of their placing."""
        offered = 0
        for moment in moments(self._history):
            self._shelves.advance(moment)
            while offered < len(self._products) and self._sold_from[offered] <= moment:
                offered += 1
            yield self._order(moment, offered)

    def _order(self, moment: datetime, offered: int) -> Placed:
        chooser, order_id = self._chooser, self._ids.at(moment)
        customer = self._customers.buyer(chooser, moment)
        wanted = self._basket(offered)
        method = chooser.choices(list(_METHODS), list(_METHODS.values()))[0]
        told = _Told(order_id, moment, chooser)
        told.add(OrderPlaced(customer.id, CURRENCY, method))
        products = list(wanted)
        if short := [product for product in products if not self._shelves.has(product.id, wanted[product])]:
            named = ", ".join(f"{product.sku} (wanted {wanted[product]})" for product in short)
            told.add(OrderFailed(f"not enough stock of {named}"))
            return Placed(told.order(), told.recorded, customer, products, "sold_out", None, None, None, Decimal(0))
        lines = tuple(
            Line(product.id, product.sku, product.body["name"], quantity, product.price_at(moment))
            for product, quantity in wanted.items()
        )
        sums = totals([(line.unit_price, line.quantity, CURRENCY) for line in lines])
        told.add(StockReserved(lines, sums.currency, sums.subtotal, sums.discount, sums.tax, sums.shipping))
        for product, quantity in wanted.items():
            self._shelves.take(product.id, quantity, moment)
        outcome = chooser.choices(list(OUTCOMES), list(OUTCOMES.values()))[0]
        captured_at, ended_at, refunded = self._end(told, outcome, sums.total)
        if ended_at is not None and outcome != "partly_refunded":
            for product, quantity in wanted.items():
                self._shelves.give_back(product.id, quantity, ended_at)
        payment_id = self._payments.at(moment)
        return Placed(
            told.order(), told.recorded, customer, products, outcome, payment_id, captured_at, ended_at, refunded
        )

    def _end(self, told: "_Told", outcome: Outcome, total: Decimal) -> tuple[datetime | None, datetime | None, Decimal]:
        """Tell the rest: when the money was taken, when it (or the order) was undone, and how much went back."""
        if outcome == "declined":
            return None, told.add(OrderFailed("the payment was declined: card_declined")), Decimal(0)
        if outcome == "timed_out":
            return None, told.add(OrderFailed("placing the order took too long; place it again")), Decimal(0)
        if outcome == "withdrawn":
            told.add(CancellationRequested())
            return None, told.add(OrderCancelled()), Decimal(0)
        told.add(CaptureBegun())
        captured_at = told.now
        told.add(OrderConfirmed())
        back = told.now + timedelta(days=self._chooser.expovariate(1 / 3), hours=1)
        if outcome == "confirmed" or back >= self._history.end - timedelta(seconds=10):
            return captured_at, None, Decimal(0)
        if outcome == "partly_refunded":
            part = Decimal(str(round(self._chooser.uniform(0.05, 0.4), 3)))
            return captured_at, back, max(_CENT, (total * part).quantize(_CENT))
        told.now = back
        told.add(CancellationRequested())
        return captured_at, told.add(OrderCancelled()), total

    def _basket(self, offered: int) -> dict[Product, int]:
        """One to four products, popular ones more often."""
        count = self._chooser.choices((1, 2, 3, 4), (40, 32, 18, 10))[0]
        chosen = self._chooser.choices(range(offered), cum_weights=self._shares[:offered], k=count)
        return {
            self._products[number]: self._chooser.choices((1, 2, 3), (78, 16, 6))[0] for number in dict.fromkeys(chosen)
        }


class _Told:
    """The events of an order, each some moments after the one before."""

    def __init__(self, order_id: UUID, moment: datetime, chooser: Random) -> None:
        self._id, self._chooser = order_id, chooser
        self._order: Order | None = None
        self.now = moment
        self.recorded: list[Recorded] = []

    def add(self, event: Event) -> datetime:
        if self.recorded:
            self.now += timedelta(microseconds=self._chooser.randrange(30_000, 900_000))
        recorded = Recorded(self._id, len(self.recorded) + 1, event, self.now)
        self._order = evolve(self._order, recorded)
        self.recorded.append(recorded)
        return self.now

    def order(self) -> Order:
        if self._order is None:
            raise ValueError("an order has at least one event")
        return self._order


def _running(shares: list[float]) -> list[float]:
    total, sums = 0.0, []
    for share in shares:
        total += share
        sums.append(total)
    return sums
