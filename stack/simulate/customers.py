"""Who buys: customers who register over time, of whom some come again and again."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from stack.demo import people
from stack.simulate.history import History, Ids

_EARLIER = 0.15
_LOYAL = 0.45


@dataclass(frozen=True, slots=True)
class Customer:
    id: UUID
    body: dict[str, Any]
    address_id: UUID
    address: dict[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Customers:
    """By the time of their registration."""

    all: list[Customer]

    def buyer(self, chooser: Random, moment: datetime) -> Customer:
        """Somebody who is registered by then; often one of the first, who are the loyal ones."""
        there = bisect_right(self.all, moment, key=lambda customer: customer.at)
        return self.all[int(there * chooser.random() ** (3 if chooser.random() < _LOYAL else 1))]


def customers(history: History) -> Customers:
    chooser, ids, addresses = history.chooser("customers"), Ids(history, 2), Ids(history, 3)
    count = max(20, history.orders // 4)
    moments = sorted(_moment(history, chooser) for _ in range(count))
    moments[0] = history.start - timedelta(days=1)  # somebody can buy from the first moment on
    made = []
    for body, at in zip(people.customers(count, history.mark, history.tag), sorted(moments), strict=True):
        address = people.address(body["country"], body["email"])
        made.append(Customer(ids.at(at), body, addresses.at(at), address, at))
    return Customers(made)


def _moment(history: History, chooser: Random) -> datetime:
    if chooser.random() < _EARLIER:
        return history.start - timedelta(days=chooser.uniform(1, 90))
    return history.start + timedelta(days=history.days * chooser.random() ** 1.1)
