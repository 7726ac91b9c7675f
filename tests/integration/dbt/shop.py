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

from pipelines.lib.captured import LOG, PREFIX, logs

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

    def put(
        self,
        table: str,
        row: Mapping[str, Any],
        *,
        version: int | None = None,
        deleted: bool = False,
        committed_at: datetime | None = None,
    ) -> None:
        """One row version; without `version` it is the newest so far, without `committed_at` of now."""
        if version is None:
            self.version += 2
            version = self.version
        technical = {"_version": version, "_deleted": int(deleted), "_committed_at": committed_at or datetime.now(UTC)}
        self.pending.setdefault(table, []).append({**row, **technical})

    def flush(self, *, complete: bool = True) -> int:
        """Insert what is pending as the next batch, into the logs too; a batch that is not complete stays above the reading limit."""
        self.batch += 1
        for table, rows in self.pending.items():
            for row in rows:
                row |= {"_batch": self.batch, "_ingested_at": datetime.now(UTC)}
            for columns in {tuple(row) for row in rows}:
                alike = [[row[column] for column in columns] for row in rows if tuple(row) == columns]
                for place in (table, f"{table}{LOG}") if f"{PREFIX}{table}{LOG}" in logs() else (table,):
                    self.client.insert(f"{self.prefix}{place}", alike, column_names=list(columns))
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
                "created_at": EPOCH + timedelta(days=number % 120),
                "updated_at": EPOCH + timedelta(days=number % 120),
            },
        )
        paid = identifier("order", number if order is None else order)
        self.transfer(f"{paid}:authorise", amount, currency, number, "pending")
        self.transfer(f"{paid}:capture", amount, currency, number, "post", resolves=f"{paid}:authorise")
        if refunded:
            self.transfer(f"refund:{identifier('refund', number)}", refunded, currency, number, "plain", code="refund")
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

    def category(self, name: str) -> None:
        """A root of the catalogue, without products."""
        row = {"id": identifier("category", 0), "parent_id": None, "name": name, "slug": name.lower(), "path": [name]}
        self.put("products.categories", row | {"created_at": EPOCH, "updated_at": EPOCH})

    def product(self, number: int, name: str) -> None:
        """A product of the catalogue's only category."""
        row = {"id": identifier("product", number), "sku": f"SKU-{number}", "category_id": identifier("category", 0)}
        row |= {
            "group_id": None,
            "variant": "{}",
            "name": name,
            "brand": "Millrace",
            "description": "",
            "attributes": "{}",
        }
        self.put(
            "products.products",
            row | {"status": "active", "created_at": EPOCH, "updated_at": datetime.now(UTC), "version": 1},
        )

    def price(self, number: int, amount: str, *, deleted: bool = False) -> None:
        """The price of a product from now on, and what the table itself writes down of that in the same commit."""
        now, product = datetime.now(UTC), identifier("product", number)
        if deleted:
            self.put("products.prices", {"product_id": product}, deleted=True, committed_at=now)
            return
        price = {"amount": Decimal(amount), "currency": "EUR", "compare_at": None}
        self.put("products.prices", {"product_id": product, "updated_at": now} | price, committed_at=now)
        change = {f"new_{column}": value for column, value in price.items()} | {
            "old_amount": None,
            "old_currency": None,
        }
        self.put(
            "products.price_changes", {"id": self.version, "product_id": product, "at": now} | change, committed_at=now
        )

    def line_at_price(self, number: int, product: int, unit_price: str) -> None:
        """An order that is placed now, of one unit at this price."""
        now, price, zero = datetime.now(UTC), Decimal(unit_price), Decimal(0)
        self.order_row(number, now, "PENDING", subtotal=price, tax=zero, shipping=zero, discount=zero)
        line = {"order_id": identifier("order", number), "line": 1, "product_id": identifier("product", product)}
        line |= {"sku": f"SKU-{product}", "product_name": f"Tent {product}", "quantity": 1, "created_at": now}
        self.put("orders.order_items", line | {"unit_price": price, "line_total": price})

    def proof(self, table: str, differing: int) -> None:
        """The outcome of a proof of a raw table, as the engine tells it."""
        source, _, name = table.partition(".")
        row = [source, name, datetime.now(UTC), 10, 10, differing]
        names = ["source", "table_name", "proven_at", "rows_source", "rows_target", "differing"]
        self.client.insert(f"{self.prefix}millrace.proofs", [row], column_names=names)

    def accounts(self) -> None:
        """The two accounts of the ledger; their balances are nobody's business here."""
        for number, code in ((1, "provider_clearing"), (2, "customer_payments")):
            flags = {"debits_must_not_exceed_credits": False, "credits_must_not_exceed_debits": False}
            self.put("payments.accounts", {"id": number, "ledger": "EUR", "code": code, "name": code} | flags)

    def transfer(
        self,
        name: str,
        amount: Decimal,
        currency: str,
        number: int,
        kind: str,
        *,
        code: str = "payment",
        resolves: str | None = None,
    ) -> None:
        """A transfer of the ledger; a refund goes the other way."""
        debit, credit = (1, 2) if code == "payment" else (2, 1)
        self.put(
            "payments.transfers",
            {
                "id": name,
                "debit_account": debit,
                "credit_account": credit,
                "amount": amount,
                "ledger": currency,
                "code": code,
                "kind": kind,
                "pending_id": resolves,
                "expires_at": None,
                "at": EPOCH + timedelta(days=number % 120),
            },
        )

    def movement(self, number: int, kind: str, quantity: int, moved_at: datetime, order: int | None = None) -> None:
        """A movement of the stock of product `number % 7`."""
        self.put(
            "products.stock_movements",
            {
                "id": number,
                "product_id": identifier("product", number % 7),
                "kind": kind,
                "quantity": quantity,
                "order_id": None if order is None else identifier("order", order),
                "reason": "counted" if kind == "adjusted" else None,
                "at": moved_at,
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
        kind = dice.choice(["order", "order", "move", "delete", "line", "payment", "refund", "goods", "stale"])
        if kind in ("order", "move"):
            self.order(number, placed_at, dice.choice(["PENDING", "CONFIRMED", "CONFIRMED", "FAILED", "CANCELLED"]))
        elif kind == "delete":
            self.delete_order(number)
        elif kind == "line":
            self.delete_line(number, dice.randint(1, 2))
        elif kind == "payment":
            self.delete_payment(number)
        elif kind == "goods":
            self.movement(number, dice.choice(["received", "adjusted"]), dice.randint(1, 9), placed_at)
        elif kind == "refund":
            self.payment(number, Decimal("50.00"), refunded=Decimal("12.34"))
        else:
            zero = Decimal(0)
            stale = 2 * dice.randrange(self.version // 2) + 1
            self.order_row(
                number, placed_at, "PENDING", subtotal=zero, tax=zero, shipping=zero, discount=zero, version=stale
            )
