"""The SQL of products with their price and stock. A product, its price, its stock and the movement that brought it are
made in one statement; what they must be like is checked in writing.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from services.kit.db import Primary, Replica, Transaction
from services.kit.problem import NotFound


@dataclass(frozen=True, slots=True)
class ProductRow:
    id: UUID
    sku: str
    category_id: UUID
    group_id: UUID | None
    name: str
    brand: str
    description: str
    attributes: dict[str, Any]
    status: str
    created_at: datetime
    updated_at: datetime
    version: int
    variant: dict[str, Any] | None
    amount: Decimal
    currency: str
    compare_at: Decimal | None
    available: int
    reserved: int
    sold: int


@dataclass(frozen=True, slots=True)
class PriceChangeRow:
    id: int
    old_amount: Decimal | None
    old_currency: str | None
    new_amount: Decimal
    new_currency: str
    new_compare_at: Decimal | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Touched:
    id: UUID


@dataclass(frozen=True, slots=True)
class Priced:
    id: UUID
    changed: bool


def unknown_product(product_id: UUID) -> NotFound:
    return NotFound(f"there is no product {product_id}")


async def insert(transaction: Transaction, products: list[dict[str, Any]]) -> None:
    """Make the products. Each holds id, the columns of products, amount, currency, compare_at and stock."""
    await transaction.all(
        Touched,
        """WITH given AS MATERIALIZED (
               SELECT * FROM jsonb_to_recordset(%s) AS given(id uuid, sku text, category_id uuid, group_id uuid,
                   variant jsonb, name text, brand text, description text, attributes jsonb,
                   amount numeric, currency text, compare_at numeric, stock integer)),
           made AS (
               INSERT INTO products (id, sku, category_id, group_id, variant, name, brand, description, attributes)
               SELECT id, sku, category_id, group_id, variant, name, brand, description, attributes FROM given
               RETURNING id),
           priced AS (
               INSERT INTO prices (product_id, amount, currency, compare_at)
               SELECT id, amount, currency, compare_at FROM given),
           stocked AS (INSERT INTO stock (product_id, available) SELECT id, stock FROM given),
           received AS (
               INSERT INTO stock_movements (product_id, kind, quantity)
               SELECT id, 'received', stock FROM given WHERE stock > 0)
           SELECT id FROM made""",
        [Jsonb(products)],
    )


async def find(source: Primary | Replica | Transaction, ids: Sequence[UUID]) -> list[ProductRow]:
    return await source.all(
        ProductRow,
        """SELECT products.*, amount, currency, compare_at, available, reserved, sold
           FROM products JOIN prices ON prices.product_id = id JOIN stock ON stock.product_id = id
           WHERE id = ANY(%s) ORDER BY id""",
        [list(ids)],
    )


async def list_after(replica: Replica, category_id: UUID | None, after: UUID, limit: int) -> list[ProductRow]:
    """Products of the category (of any, when it is None) by id."""
    return await replica.all(
        ProductRow,
        """SELECT products.*, amount, currency, compare_at, available, reserved, sold
           FROM products JOIN prices ON prices.product_id = id JOIN stock ON stock.product_id = id
           WHERE id > %(after)s AND (%(category_id)s::uuid IS NULL OR category_id = %(category_id)s)
           ORDER BY id LIMIT %(limit)s""",
        {"category_id": category_id, "after": after, "limit": limit},
    )


async def set_price(
    transaction: Transaction, product_id: UUID, values: dict[str, Any], expected: list[int] | None = None
) -> Priced | None:
    """Set amount, currency and compare_at; the product's version rises when it is another price. None when it is not
    there in an `expected` version. The product's row is locked first, as deleting it does."""
    return await transaction.one(
        Priced,
        """WITH product AS MATERIALIZED (
               SELECT id FROM products
               WHERE id = %(id)s AND (%(expected)s::bigint[] IS NULL OR version = ANY(%(expected)s))
               FOR NO KEY UPDATE),
           priced AS (
               UPDATE prices SET amount = %(amount)s, currency = %(currency)s, compare_at = %(compare_at)s,
                   updated_at = now()
               FROM product WHERE product_id = product.id
                   AND (amount, currency, compare_at) IS DISTINCT FROM
                       (%(amount)s::numeric, %(currency)s::char(3), %(compare_at)s::numeric)
               RETURNING product_id),
           touched AS (
               UPDATE products SET version = version + 1, updated_at = now() FROM priced WHERE id = product_id)
           SELECT id, EXISTS (SELECT FROM priced) AS changed FROM product""",
        {"id": product_id, "expected": expected, **values},
    )


async def price_changes(replica: Replica, product_id: UUID, after: int, limit: int) -> list[PriceChangeRow]:
    """Prices that the product has had, the first one first."""
    return await replica.all(
        PriceChangeRow,
        """SELECT id, old_amount, old_currency, new_amount, new_currency, new_compare_at, at
           FROM price_changes WHERE product_id = %s AND id > %s ORDER BY id LIMIT %s""",
        [product_id, after, limit],
    )


async def delete(transaction: Transaction, product_id: UUID, expected: list[int] | None = None) -> bool:
    """Price and stock go with the product; reservations stay as facts. Whether it was there, in an `expected` version."""
    return None is not await transaction.one(
        Touched,
        """DELETE FROM products
           WHERE id = %(id)s AND (%(expected)s::bigint[] IS NULL OR version = ANY(%(expected)s)) RETURNING id""",
        {"id": product_id, "expected": expected},
    )
