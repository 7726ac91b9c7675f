"""The SQL of orders. An order leaves PENDING, and later CONFIRMED, by one conditional UPDATE: only one caller wins."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from services.kit.db import Primary, Replica
from services.orders.totals import Totals


@dataclass(frozen=True, slots=True)
class OrderRow:
    id: UUID
    user_id: UUID
    status: str
    failure: str | None
    currency: str
    subtotal: Decimal
    discount: Decimal
    tax: Decimal
    shipping: Decimal
    total: Decimal
    placed_at: datetime
    updated_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class ItemRow:
    order_id: UUID
    line: int
    product_id: UUID
    sku: str
    product_name: str
    quantity: int
    unit_price: Decimal
    line_total: Decimal
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Touched:
    id: UUID


async def insert_pending(primary: Primary, order_id: UUID, user_id: UUID, currency: str) -> None:
    await primary.one(
        Touched,
        "INSERT INTO orders (id, user_id, status, currency) VALUES (%s, %s, 'PENDING', %s) RETURNING id",
        [order_id, user_id, currency],
    )


async def record_lines(primary: Primary, order_id: UUID, lines: Sequence[dict[str, Any]], sums: Totals) -> bool:
    """Write the lines and the totals of a PENDING order; False when it is not PENDING any more."""
    return None is not await primary.one(
        Touched,
        """WITH changed AS (
               UPDATE orders SET currency = %(currency)s, subtotal = %(subtotal)s, discount = %(discount)s,
                   tax = %(tax)s, shipping = %(shipping)s, total = %(total)s, updated_at = now(), version = version + 1
               WHERE id = %(id)s AND status = 'PENDING' RETURNING id),
           written AS (
               INSERT INTO order_items
                   (order_id, line, product_id, sku, product_name, quantity, unit_price, line_total)
               SELECT changed.id, line, product_id, sku, name, quantity, unit_price, unit_price * quantity
               FROM changed, jsonb_to_recordset(%(lines)s) AS given(line smallint, product_id uuid, sku text, name text,
                   quantity integer, unit_price numeric))
           SELECT id FROM changed""",
        {
            "id": order_id,
            "currency": sums.currency,
            "subtotal": sums.subtotal,
            "discount": sums.discount,
            "tax": sums.tax,
            "shipping": sums.shipping,
            "total": sums.total,
            "lines": Jsonb([{"line": number, **line} for number, line in enumerate(lines, start=1)]),
        },
    )


async def confirm(primary: Primary, order_id: UUID) -> OrderRow | None:
    """PENDING becomes CONFIRMED; None when it is not PENDING any more."""
    return await primary.one(
        OrderRow,
        """UPDATE orders SET status = 'CONFIRMED', updated_at = now(), version = version + 1
           WHERE id = %s AND status = 'PENDING' RETURNING *""",
        [order_id],
    )


async def fail(primary: Primary, order_id: UUID, failure: str) -> OrderRow | None:
    """PENDING becomes FAILED with its reason; None when it is not PENDING any more."""
    return await primary.one(
        OrderRow,
        """UPDATE orders SET status = 'FAILED', failure = %s, updated_at = now(), version = version + 1
           WHERE id = %s AND status = 'PENDING' RETURNING *""",
        [failure[:500], order_id],
    )


async def cancel(primary: Primary, order_id: UUID) -> OrderRow | None:
    """CONFIRMED becomes CANCELLED; None when it is not CONFIRMED any more."""
    return await primary.one(
        OrderRow,
        """UPDATE orders SET status = 'CANCELLED', updated_at = now(), version = version + 1
           WHERE id = %s AND status = 'CONFIRMED' RETURNING *""",
        [order_id],
    )


async def find(primary: Primary, order_id: UUID) -> OrderRow | None:
    return await primary.one(OrderRow, "SELECT * FROM orders WHERE id = %s", [order_id])


async def items(source: Primary | Replica, order_ids: Sequence[UUID]) -> list[ItemRow]:
    """The lines of the orders, by order and line."""
    return await source.all(
        ItemRow, "SELECT * FROM order_items WHERE order_id = ANY(%s) ORDER BY order_id, line", [list(order_ids)]
    )


async def list_after(replica: Replica, user_id: UUID | None, after: UUID, limit: int) -> list[OrderRow]:
    """Orders of the user (of all, when it is None) by id."""
    if user_id is None:
        return await replica.all(OrderRow, "SELECT * FROM orders WHERE id > %s ORDER BY id LIMIT %s", [after, limit])
    return await replica.all(
        OrderRow,
        "SELECT * FROM orders WHERE user_id = %s AND id > %s ORDER BY id LIMIT %s",
        [user_id, after, limit],
    )


async def pending_for(primary: Primary, seconds: float, limit: int) -> list[OrderRow]:
    """Orders that have been PENDING for longer than `seconds`, oldest first."""
    return await primary.all(
        OrderRow,
        """SELECT * FROM orders WHERE status = 'PENDING' AND placed_at < now() - make_interval(secs => %s)
           ORDER BY placed_at LIMIT %s""",
        [seconds, limit],
    )
