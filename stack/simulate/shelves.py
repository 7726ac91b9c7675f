"""Goods that come and go: pieces are received before they are sold, so a history never sells what it has not."""

import heapq
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from stack.simulate.goods import Product

_LEAST = 6
_UNITS_OF_AN_ORDER = 2.7
_BREAKS = 0.04


@dataclass(frozen=True, slots=True)
class Movement:
    """A row of `stock_movements`, of which the database gives the id."""

    product_id: UUID
    kind: str
    quantity: int
    at: datetime
    order_id: UUID | None = None
    reason: str | None = None


@dataclass(slots=True)
class _Shelf:
    lot: int
    available: int = 0
    ordered: bool = False


@dataclass
class Shelves:
    """`orders_a_day` decides how much is bought at once. `moved` gathers what came in."""

    chooser: Random
    orders_a_day: float
    products: list[Product]
    moved: list[Movement] = field(default_factory=list)
    _shelves: dict[UUID, _Shelf] = field(default_factory=dict)
    _due: list[tuple[datetime, int, str, UUID, int]] = field(default_factory=list)
    _number: int = 0

    def __post_init__(self) -> None:
        for product in self.products:
            lot = max(_LEAST, round(30 * self.orders_a_day * _UNITS_OF_AN_ORDER * product.share))
            self._shelves[product.id] = _Shelf(lot)
            self._later(product.since, "received", product.id, lot)

    def advance(self, moment: datetime) -> None:
        """Let everything come that is due by then."""
        while self._due and self._due[0][0] <= moment:
            at, _, kind, product_id, quantity = heapq.heappop(self._due)
            shelf = self._shelves[product_id]
            shelf.available += quantity
            if kind == "received":
                shelf.ordered = False
                self.moved.append(Movement(product_id, kind, quantity, at))
                if self.chooser.random() < _BREAKS:
                    shelf.available -= 1
                    self.moved.append(Movement(product_id, "adjusted", -1, at, reason="broken on arrival"))

    def has(self, product_id: UUID, quantity: int) -> bool:
        return self._shelves[product_id].available >= quantity

    def take(self, product_id: UUID, quantity: int, moment: datetime) -> None:
        """Pieces leave; new ones are bought when few are left."""
        shelf = self._shelves[product_id]
        shelf.available -= quantity
        if not shelf.ordered and shelf.available < shelf.lot / 2:
            shelf.ordered = True
            self._later(moment + timedelta(days=self.chooser.uniform(1, 8)), "received", product_id, shelf.lot)

    def give_back(self, product_id: UUID, quantity: int, moment: datetime) -> None:
        """Pieces of an order that was undone are there again from then on; the order notes that itself."""
        self._later(moment, "returned", product_id, quantity)

    def _later(self, moment: datetime, kind: str, product_id: UUID, quantity: int) -> None:
        self._number += 1
        heapq.heappush(self._due, (moment, self._number, kind, product_id, quantity))
