"""One look at everything: each invariant with the rows that break it. A check that cannot be made raises; it never passes."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.invariants.databases import FOLDER, NAMES, Databases, ask, order_ids
from services.invariants.rules import OF_ORDERS, Order, broken, rules

SHOWN = 20
"""Rows that are kept of a broken invariant; all are counted."""


@dataclass
class Verdict:
    """What was found of one invariant."""

    name: str
    meaning: str
    violations: int
    rows: list[dict[str, Any]]


def check(databases: Databases, *, since_s: float | None = None, orders: Sequence[UUID] | None = None) -> list[Verdict]:
    """All invariants. Of orders only those that changed within `since_s` seconds, or only `orders`, when given.

    Raises psycopg.Error when a database cannot be asked.
    """
    verdicts = []
    for rule in rules():
        rows = ask(databases[rule.database], rule.query)
        verdicts.append(Verdict(rule.name, rule.meaning, len(rows), rows[:SHOWN]))
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in OF_ORDERS}
    counted: dict[str, int] = dict.fromkeys(OF_ORDERS, 0)
    chunks: Iterable[Sequence[UUID]] = order_ids(databases, since_s) if orders is None else [orders]
    for ids in chunks:
        for order_id, facts in _facts(databases, ids).items():
            for name, shown in broken(order_id, facts):
                counted[name] += 1
                if len(found[name]) < SHOWN:
                    found[name].append(shown)
    return verdicts + [Verdict(name, OF_ORDERS[name], counted[name], found[name]) for name in OF_ORDERS]


def _facts(databases: Databases, ids: Sequence[UUID]) -> dict[UUID, Order]:
    facts: defaultdict[UUID, Order] = defaultdict(Order)
    asked = {
        name: ask(databases[name], (FOLDER / "facts" / f"{name}.sql").read_text(encoding="utf-8"), {"ids": list(ids)})
        for name in NAMES
    }
    for row in asked["orders"]:
        facts[row["order_id"]].order = row
    for row in asked["payments"]:
        facts[row["order_id"]].payments.append(row)
    for row in asked["products"]:
        facts[row["order_id"]].goods.append(row)
    return facts
