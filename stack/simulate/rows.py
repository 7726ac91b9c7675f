"""What each service's tables hold of an order: rows as COPY takes them, in the order of the columns that are named here."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from services.orders import stream
from services.payments.books import refund_id
from stack.simulate.orders import UNPAID, Placed
from stack.simulate.shelves import Movement

COLUMNS: dict[str, dict[str, tuple[str, ...]]] = {
    "orders": {
        "service.order_events": ("stream_id", "version", "type", "data", "meta", "recorded_at"),
        "public.orders": (
            "id", "user_id", "status", "failure", "currency", "subtotal", "discount", "tax", "shipping", "total",
            "placed_at", "updated_at", "version",
        ),
        "public.order_items": (
            "order_id", "line", "product_id", "sku", "product_name", "quantity", "unit_price", "line_total", "created_at",
        ),
    },
    "products": {
        "service.holds": ("order_id", "state", "lines", "created_at", "expires_at", "updated_at"),
        "public.reservations": (
            "order_id", "product_id", "quantity", "state", "created_at", "updated_at", "expires_at",
        ),
        "public.stock_movements": ("product_id", "kind", "quantity", "order_id", "reason", "at"),
    },
    "payments": {
        "public.payments": (
            "id", "order_id", "amount", "captured", "refunded", "currency", "status", "method", "provider_reference",
            "failure_code", "expires_at", "created_at", "updated_at",
        ),
        "public.refunds": ("id", "payment_id", "amount", "reason", "created_at"),
        "service.voids": ("order_id", "reason", "at"),
        "public.transfers": (
            "id", "debit_account", "credit_account", "amount", "ledger", "code", "kind", "pending_id", "expires_at",
        ),
    },
}  # fmt: skip

_META = '{"source":"simulation"}'
_HOLD = timedelta(minutes=15)
_AUTHORISED_FOR = timedelta(days=7)
_Row = tuple[Any, ...]


@dataclass(slots=True)
class Chunk:
    """The rows of some orders that follow one another: database -> table -> rows. `first` is the first order's id."""

    first: UUID
    orders: int = 0
    rows: dict[str, dict[str, list[_Row]]] = field(
        default_factory=lambda: {name: {table: [] for table in tables} for name, tables in COLUMNS.items()}
    )
    movements: list[Movement] = field(default_factory=list)

    def add(self, placed: Placed, accounts: tuple[int, int]) -> None:
        """`accounts` of the ledger are what the provider holds for us, and what customers paid."""
        self.orders += 1
        _add_order(self.rows["orders"], placed)
        if placed.payment_id is not None:
            self._add_goods(placed)
            _add_payment(self.rows["payments"], placed, placed.payment_id, accounts)

    def end(self) -> None:
        """Bring the movements of pieces into the order of time."""
        self.movements.sort(key=lambda moved: moved.at)
        self.rows["products"]["public.stock_movements"] = [
            (moved.product_id, moved.kind, moved.quantity, moved.order_id, moved.reason, moved.at)
            for moved in self.movements
        ]

    def _add_goods(self, placed: Placed) -> None:
        order, rows = placed.order, self.rows["products"]
        reserved_at = order.reserved_at or order.placed_at
        released = order.status != "CONFIRMED"
        state = "released" if released else "committed"
        committed_at = None if placed.captured_at is None else placed.captured_at - timedelta(milliseconds=5)
        ended_at = placed.ended_at if released else committed_at
        expires_at = reserved_at + _HOLD
        lines = [
            {
                "product_id": str(line.product_id), "sku": line.sku, "name": line.name, "quantity": line.quantity,
                "unit_price": str(line.unit_price), "currency": order.currency,
            }
            for line in order.lines
        ]  # fmt: skip
        rows["service.holds"].append((order.id, state, orjson.dumps(lines).decode(), reserved_at, expires_at, ended_at))
        for line in order.lines:
            rows["public.reservations"].append(
                (order.id, line.product_id, line.quantity, state, reserved_at, ended_at, expires_at)
            )
            steps = [("reserved", reserved_at), ("committed", committed_at)]
            if released:
                steps.append(("released" if committed_at is None else "returned", ended_at))
            self.movements += [
                Movement(line.product_id, kind, line.quantity, at, order.id) for kind, at in steps if at is not None
            ]


def _add_order(rows: dict[str, list[_Row]], placed: Placed) -> None:
    order = placed.order
    for recorded in placed.recorded:
        kind, data = stream.write(recorded.event)
        told = (order.id, recorded.version, kind, orjson.dumps(data).decode(), _META, recorded.recorded_at)
        rows["service.order_events"].append(told)
    sums = (order.subtotal, order.discount, order.tax, order.shipping, order.total)
    ends = (order.placed_at, order.updated_at, order.version)
    rows["public.orders"].append((order.id, order.user_id, order.status, order.failure, order.currency, *sums, *ends))
    for number, line in enumerate(order.lines, start=1):
        named = (line.product_id, line.sku, line.name, line.quantity, line.unit_price)
        rows["public.order_items"].append(
            (order.id, number, *named, line.unit_price * line.quantity, order.reserved_at)
        )


def _add_payment(rows: dict[str, list[_Row]], placed: Placed, payment: UUID, accounts: tuple[int, int]) -> None:
    order, outcome, total = placed.order, placed.outcome, placed.order.total
    asked_at = (order.reserved_at or order.placed_at) + timedelta(milliseconds=20)
    captured = total if placed.captured_at is not None else 0
    status = {"declined": "DECLINED", "timed_out": "VOIDED", "withdrawn": "VOIDED"}.get(outcome, "CAPTURED")
    if placed.refunded and placed.refunded == total:
        status = "REFUNDED"
    changed_at = placed.ended_at or placed.captured_at or asked_at
    failure, expires_at = ("card_declined", None) if outcome == "declined" else (None, asked_at + _AUTHORISED_FOR)
    sums = (total, captured, placed.refunded, order.currency)
    provider = (order.payment_method, f"ch_{payment.hex}", failure, expires_at)
    rows["public.payments"].append((payment, order.id, *sums, status, *provider, asked_at, changed_at))
    if order.status != "CONFIRMED" and placed.ended_at is not None:
        reason = order.failure or "the customer cancelled the order"
        rows["service.voids"].append((order.id, reason[:200], placed.ended_at))
    rows["public.transfers"] += _transfers(placed, accounts)
    if placed.refunded and placed.ended_at is not None:
        reason = "goodwill" if outcome == "partly_refunded" else "the customer cancelled the order"
        refund = refund_id(payment, f"{payment}:0.00")
        rows["public.refunds"].append((refund, payment, placed.refunded, reason, placed.ended_at))
        money = (placed.refunded, order.currency, "refund", "plain", None, None)
        rows["public.transfers"].append((f"refund:{refund}", accounts[1], accounts[0], *money))


def _transfers(placed: Placed, accounts: tuple[int, int]) -> Iterator[_Row]:
    """What was taken is one transfer, as the ledger's own migration books what is past: an authorisation that has expired
    long ago cannot be posted. One that was voided is both of its transfers."""
    order = placed.order
    money = (*accounts, order.total, order.currency, "payment")
    if placed.captured_at is not None:
        yield (f"{order.id}:capture", *money, "plain", None, None)
    elif placed.outcome in UNPAID and placed.outcome != "declined":
        authorised = f"{order.id}:authorise"
        yield (authorised, *money, "pending", None, (order.reserved_at or order.placed_at) + _AUTHORISED_FOR)
        yield (f"{order.id}:void", *money, "void", authorised, None)
