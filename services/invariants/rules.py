"""The invariants: those of one database are files of SQL that select what breaks them, those of an order are here.

An order is held against its payment and its goods once nothing has changed about it for ten seconds, in any database: the
saga that moves the three is then over (`facts/`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID

from services.invariants.databases import FOLDER, NAMES, Row

PAID = "confirmed_orders_are_paid"
DELIVERED = "confirmed_orders_have_their_goods"
NOTHING_TAKEN = "ended_orders_keep_no_money"
NOTHING_HELD = "ended_orders_hold_no_goods"
KNOWN = "money_and_goods_have_an_order"

OF_ORDERS = {
    PAID: "A CONFIRMED order has exactly one captured payment, of its total and in its currency.",
    DELIVERED: "A CONFIRMED order has a committed reservation for each of its lines, and nothing else.",
    NOTHING_TAKEN: "A FAILED or CANCELLED order has given back all that was taken, and nothing is promised.",
    NOTHING_HELD: "A FAILED or CANCELLED order holds no stock and has none sold to it.",
    KNOWN: "Money that was taken and stock that is held belong to an order that exists.",
}
_ENDED = ("FAILED", "CANCELLED")


@dataclass(frozen=True, slots=True)
class Rule:
    """An invariant of one database."""

    name: str
    database: str
    meaning: str
    query: str


@dataclass
class Order:
    """What the three databases say about one order."""

    order: Row | None = None
    payments: list[Row] = field(default_factory=list)
    goods: list[Row] = field(default_factory=list)

    @property
    def quiet(self) -> bool:
        told = [*self.payments, *self.goods, *([] if self.order is None else [self.order])]
        return all(row["quiet"] for row in told)

    @property
    def captured(self) -> list[Row]:
        return [payment for payment in self.payments if payment["captured"]]

    @property
    def net(self) -> Decimal:
        return sum((payment["captured"] - payment["refunded"] for payment in self.payments), Decimal())

    def goods_in(self, *states: str) -> dict[str, int]:
        return {row["product_id"]: row["quantity"] for row in self.goods if row["state"] in states}


def queries(database: str) -> dict[str, LiteralString]:
    """The queries of one database by their names; each selects what breaks its invariant, so nothing when all is well."""
    return {rule.name: rule.query for rule in rules() if rule.database == database}


def rules() -> list[Rule]:
    """The files under `sql/<database>/`: the comment at the top is the meaning."""
    made = []
    for database in NAMES:
        for path in sorted((FOLDER / "sql" / database).glob("*.sql")):
            text = path.read_text(encoding="utf-8")
            comment = [line.removeprefix("--").strip() for line in text.splitlines() if line.startswith("--")]
            made.append(Rule(path.stem, database, " ".join(comment), text))
    return made


def broken(order_id: UUID, facts: Order) -> Iterator[tuple[str, dict[str, Any]]]:
    """Which invariants the order breaks, with what shows it."""
    if not facts.quiet:
        return
    order = facts.order
    status = None if order is None else order["status"]
    promised = any(payment["promised"] for payment in facts.payments)
    held, committed = facts.goods_in("held"), facts.goods_in("committed")
    shown: dict[str, Any] = {"order_id": order_id, "status": status}
    if order is None:
        if facts.net or promised or held or committed:
            yield KNOWN, shown | {"net": facts.net, "held": held, "committed": committed}
    elif status == "CONFIRMED":
        taken = [(payment["captured"], payment["currency"]) for payment in facts.captured]
        if taken != [(order["total"], order["currency"])]:
            yield PAID, shown | {"total": order["total"], "captured": [amount for amount, _ in taken]}
        if held or committed != order["lines"]:
            yield DELIVERED, shown | {"lines": order["lines"], "held": held, "committed": committed}
    elif status in _ENDED:
        if facts.net or promised:
            yield NOTHING_TAKEN, shown | {"net": facts.net, "promised": promised}
        if held or committed:
            yield NOTHING_HELD, shown | {"held": held, "committed": committed}
