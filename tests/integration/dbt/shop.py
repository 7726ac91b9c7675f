"""Raw rows of a small shop, written as the sink writes them: versions, tombstones that carry only the key, batches.

Everything is decided by the arguments, so a failing round can be repeated. It writes raw tables only.
"""

import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from clickhouse_connect.driver.client import Client

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
CENT = Decimal("0.01")


def identifier(kind: str, number: int) -> uuid.UUID:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}/{number}")


@dataclass
class Shop:
    """Writes into `<prefix>orders.orders` and its like; every `flush` is one batch of the sink.

    Versions of changes are even, so that a stale one can be odd and never ties with a change.
    """

    client: Client
    prefix: str
    version: int = 0
    batch: int = 0
    pending: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def put(self, table: str, row: Mapping[str, Any], *, version: int | None = None, deleted: bool = False) -> None:
        """One row version; without `version` it is the newest so far."""
        if version is None:
            self.version += 2
            version = self.version
        technical = {"_version": version, "_deleted": int(deleted), "_committed_at": datetime.now(UTC)}
        self.pending.setdefault(table, []).append({**row, **technical})

    def flush(self, *, complete: bool = True) -> int:
        """Insert what is pending as the next batch; a batch that is not complete stays above the reading limit."""
        self.batch += 1
        for table, rows in self.pending.items():
            for row in rows:
                row |= {"_batch": self.batch, "_ingested_at": datetime.now(UTC)}
            for columns in {tuple(row) for row in rows}:
                alike = [[row[column] for column in columns] for row in rows if tuple(row) == columns]
                self.client.insert(f"{self.prefix}{table}", alike, column_names=list(columns))
        self.pending = {}
        if complete:
            self.declare_readable(self.batch + 1)
        return self.batch

    def declare_readable(self, below: int) -> None:
        self.client.insert(
            f"{self.prefix}millrace.batch_watermark",
            [[below, datetime.now(UTC)]],
            column_names=["readable_below", "at"],
        )

    def order(self, number: int, placed_at: datetime, status: str = "CONFIRMED", lines: int = 2) -> None:
        """An order with its lines, and a captured payment unless it is pending or failed."""
        subtotal = Decimal(0)
        for line in range(1, lines + 1):
            quantity, price = 1 + (number + line) % 3, Decimal(100 * line + number % 97) * CENT
            subtotal += quantity * price
            self.put(
                "orders.order_items",
                {
                    "order_id": identifier("order", number),
                    "line": line,
                    "product_id": identifier("product", number % 7),
                    "sku": f"SKU-{number % 7}",
                    "product_name": f"Product {number % 7}",
                    "quantity": quantity,
                    "unit_price": price,
                    "line_total": quantity * price,
                    "created_at": placed_at,
                },
            )
        tax, shipping, discount = (subtotal / 5).quantize(CENT), Decimal("4.90"), Decimal(number % 2)
        self.order_row(number, placed_at, status, subtotal=subtotal, tax=tax, shipping=shipping, discount=discount)
        if status in ("CONFIRMED", "CANCELLED"):
            total = subtotal - discount + tax + shipping
            self.payment(number, total, refunded=total if status == "CANCELLED" else Decimal(0))

    def order_row(
        self,
        number: int,
        placed_at: datetime,
        status: str,
        *,
        subtotal: Decimal,
        tax: Decimal,
        shipping: Decimal,
        discount: Decimal,
        version: int | None = None,
    ) -> None:
        self.put(
            "orders.orders",
            {
                "id": identifier("order", number),
                "user_id": identifier("user", number % 5),
                "status": status,
                "failure": "declined" if status == "FAILED" else None,
                "currency": "CHF" if number % 11 == 0 else "EUR",
                "subtotal": subtotal,
                "discount": discount,
                "tax": tax,
                "shipping": shipping,
                "total": subtotal - discount + tax + shipping,
                "placed_at": placed_at,
                "updated_at": placed_at,
                "version": 1,
            },
            version=version,
        )

    def payment(
        self, number: int, amount: Decimal, *, refunded: Decimal = Decimal(0), order: int | None = None
    ) -> None:
        currency = "CHF" if number % 11 == 0 else "EUR"
        self.put(
            "payments.payments",
            {
                "id": identifier("payment", number),
                "order_id": identifier("order", number if order is None else order),
                "amount": amount,
                "refunded": refunded,
                "currency": currency,
                "status": "REFUNDED" if refunded == amount else "CAPTURED",
                "method": "card",
                "provider_reference": None,
                "failure_code": None,
                "created_at": EPOCH,
                "updated_at": EPOCH,
            },
        )
        if refunded:
            self.put(
                "payments.refunds",
                {
                    "id": identifier("refund", number),
                    "payment_id": identifier("payment", number),
                    "amount": refunded,
                    "reason": "cancelled",
                    "created_at": EPOCH + timedelta(days=number % 90),
                },
            )

    def delete_order(self, number: int, lines: int = 2) -> None:
        """Tombstones carry the key; every other column is the default, so the month is not in them."""
        self.put("orders.orders", {"id": identifier("order", number)}, deleted=True)
        for line in range(1, lines + 1):
            self.delete_line(number, line)

    def delete_line(self, number: int, line: int) -> None:
        self.put("orders.order_items", {"order_id": identifier("order", number), "line": line}, deleted=True)

    def delete_payment(self, number: int) -> None:
        self.put("payments.payments", {"id": identifier("payment", number)}, deleted=True)

    def change_at_random(self, dice: random.Random, orders: int) -> None:
        """One change of any kind to any order, existing or not."""
        number, placed_at = dice.randrange(orders), EPOCH + timedelta(days=dice.randrange(180))
        kind = dice.choice(["order", "order", "move", "delete", "line", "payment", "refund", "stale"])
        if kind in ("order", "move"):
            self.order(number, placed_at, dice.choice(["PENDING", "CONFIRMED", "CONFIRMED", "FAILED", "CANCELLED"]))
        elif kind == "delete":
            self.delete_order(number)
        elif kind == "line":
            self.delete_line(number, dice.randint(1, 2))
        elif kind == "payment":
            self.delete_payment(number)
        elif kind == "refund":
            self.payment(number, Decimal("50.00"), refunded=Decimal("12.34"))
        else:
            zero = Decimal(0)
            stale = 2 * dice.randrange(self.version // 2) + 1
            self.order_row(
                number, placed_at, "PENDING", subtotal=zero, tax=zero, shipping=zero, discount=zero, version=stale
            )
