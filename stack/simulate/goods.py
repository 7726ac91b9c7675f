"""What is sold: the categories and products of a history, and each product's price over time."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from stack.demo import catalogue
from stack.simulate.history import History, Ids

CURRENCY = "EUR"
_LATER = 0.2
"""So much of the catalogue comes during the history; the rest is there from its first day."""
_BETWEEN_CHANGES_DAYS = 120.0
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Category:
    id: UUID
    parent: tuple[str, ...]
    path: tuple[str, ...]
    slug: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Price:
    at: datetime
    amount: Decimal
    compare_at: Decimal | None


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """`share` is the part of all units sold that are expected to be of it."""

    id: UUID
    sku: str
    path: tuple[str, ...]
    body: dict[str, Any]
    since: datetime
    prices: list[Price]
    share: float

    def price_at(self, moment: datetime) -> Decimal:
        return self.prices[max(bisect_right(self.prices, moment, key=lambda price: price.at) - 1, 0)].amount


def product_count(history: History) -> int:
    return min(3000, max(60, history.orders // 50))


def categories(history: History) -> list[Category]:
    """Parents before children."""
    ids, at = Ids(history, 0), history.start - timedelta(days=30)
    return [Category(ids.at(at), path[:-1], path, catalogue.slug(path), at) for path in catalogue.categories()]


def products(history: History) -> list[Product]:
    """By the time from which they are sold."""
    chooser, ids = history.chooser("products"), Ids(history, 1)
    made = list(catalogue.products(product_count(history), history.mark))
    days = sorted(history.days * 0.8 * chooser.random() if chooser.random() < _LATER else -1.0 for _ in made)
    weights = [chooser.paretovariate(1.2) ** 0.7 for _ in made]
    found = []
    for (path, body), day, weight in zip(made, days, weights, strict=True):
        since = history.start + timedelta(days=day) if day > 0 else history.start - timedelta(days=7)
        sku = f"{body['sku'].rpartition('-')[0]}-{history.tag.upper()}-{body['sku'][-5:]}"
        prices = _prices(history, chooser, Decimal(body["price"]["amount"]), since)
        found.append(Product(ids.at(since), sku, path, body, since, prices, weight / sum(weights)))
    return found


def _prices(history: History, chooser: Random, first: Decimal, since: datetime) -> list[Price]:
    """The first price and its changes: new prices, and sales that end after some weeks."""
    prices = [Price(since, first, None)]
    moment = since + timedelta(days=chooser.expovariate(1 / _BETWEEN_CHANGES_DAYS))
    while moment < history.end:
        regular = prices[-1].amount
        if chooser.random() < 0.5:
            prices.append(Price(moment, _near(regular, chooser.uniform(0.6, 0.9)), regular))
            moment += timedelta(days=chooser.uniform(5, 21))
            if moment < history.end:
                prices.append(Price(moment, regular, None))
        else:
            factor = chooser.uniform(0.85, 0.97) if chooser.random() < 0.4 else chooser.uniform(1.03, 1.15)
            prices.append(Price(moment, _near(regular, factor), None))
        moment += timedelta(days=chooser.expovariate(1 / _BETWEEN_CHANGES_DAYS))
    return prices


def _near(amount: Decimal, factor: float) -> Decimal:
    return (amount * Decimal(str(round(factor, 4)))).quantize(_CENT)
