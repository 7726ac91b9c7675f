"""The tables `orders` and `order_items` as they follow from an order's state: the same statements write them in the
transaction of each event and into the shadow tables of a rebuild, so that both give the same bytes.
"""

from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from services.kit.db import Transaction
from services.orders.order import Order

WRITE_ORDER: LiteralString = """
    INSERT INTO orders (id, user_id, status, failure, currency, subtotal, discount, tax, shipping, total,
                        placed_at, updated_at, version)
    VALUES (%(id)s, %(user_id)s, %(status)s, %(failure)s, %(currency)s, %(subtotal)s, %(discount)s, %(tax)s,
            %(shipping)s, %(total)s, %(placed_at)s, %(updated_at)s, %(version)s)
    ON CONFLICT (id) DO UPDATE SET status = excluded.status, failure = excluded.failure, currency = excluded.currency,
        subtotal = excluded.subtotal, discount = excluded.discount, tax = excluded.tax, shipping = excluded.shipping,
        total = excluded.total, updated_at = excluded.updated_at, version = excluded.version"""

WRITE_ITEMS: LiteralString = """
    INSERT INTO order_items (order_id, line, product_id, sku, product_name, quantity, unit_price, line_total, created_at)
    SELECT %(id)s, line, product_id, sku, name, quantity, unit_price, unit_price * quantity, %(reserved_at)s
    FROM jsonb_to_recordset(%(lines)s) AS given(line smallint, product_id uuid, sku text, name text,
        quantity integer, unit_price numeric)
    ON CONFLICT (order_id, line) DO NOTHING"""


def order_values(order: Order) -> dict[str, Any]:
    """The parameters of WRITE_ORDER."""
    names = ("id", "user_id", "status", "failure", "currency", "subtotal", "discount", "tax", "shipping", "total")
    return {name: getattr(order, name) for name in (*names, "placed_at", "updated_at", "version")}


def item_values(order: Order) -> dict[str, Any]:
    """The parameters of WRITE_ITEMS."""
    lines = [
        {
            "line": number,
            "product_id": str(line.product_id),
            "sku": line.sku,
            "name": line.name,
            "quantity": line.quantity,
            "unit_price": str(line.unit_price),
        }
        for number, line in enumerate(order.lines, start=1)
    ]
    return {"id": order.id, "reserved_at": order.reserved_at, "lines": Jsonb(lines)}


async def write(transaction: Transaction, order: Order, *, lines_changed: bool) -> None:
    """Queue the statements that bring the order's rows up to date."""
    await transaction.execute(WRITE_ORDER, order_values(order))
    if lines_changed:
        await transaction.execute(WRITE_ITEMS, item_values(order))
