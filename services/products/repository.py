"""The SQL of products with their price and stock. A product, its price and its stock row are made in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from services.kit.db import Primary, Replica
from services.kit.problem import Conflict, NotFound, ProblemError, Unprocessable, constraints


@dataclass(frozen=True, slots=True)
class ProductRow:
    id: UUID
    sku: str
    category_id: UUID
    name: str
    brand: str
    description: str
    attributes: dict[str, Any]
    status: str
    created_at: datetime
    updated_at: datetime
    version: int
    amount: Decimal
    currency: str
    available: int
    reserved: int
    sold: int


@dataclass(frozen=True, slots=True)
class Touched:
    id: UUID


def unknown_product(product_id: UUID) -> NotFound:
    return NotFound(f"there is no product {product_id}")


def _meaning() -> dict[str, ProblemError]:
    return {
        "products_sku_key": Conflict("a product with this SKU exists already"),
        "products_category_id_fkey": Unprocessable("there is no category with this category_id"),
    }


async def insert(primary: Primary, products: list[dict[str, Any]]) -> int:
    """Make the products, all or none; how many. Each holds id, the columns of products, amount, currency, stock."""
    with constraints(_meaning()):
        made = await primary.all(
            Touched,
            """WITH given AS MATERIALIZED (
                   SELECT * FROM jsonb_to_recordset(%s) AS given(id uuid, sku text, category_id uuid, name text,
                       brand text, description text, attributes jsonb, amount numeric, currency text, stock integer)),
               made AS (
                   INSERT INTO products (id, sku, category_id, name, brand, description, attributes)
                   SELECT id, sku, category_id, name, brand, description, attributes FROM given RETURNING id),
               priced AS (INSERT INTO prices (product_id, amount, currency) SELECT id, amount, currency FROM given),
               stocked AS (INSERT INTO stock (product_id, available) SELECT id, stock FROM given)
               SELECT id FROM made""",
            [Jsonb(products)],
        )
    return len(made)


async def find(source: Primary | Replica, ids: Sequence[UUID]) -> list[ProductRow]:
    return await source.all(
        ProductRow,
        """SELECT products.*, amount, currency, available, reserved, sold
           FROM products JOIN prices ON prices.product_id = id JOIN stock ON stock.product_id = id
           WHERE id = ANY(%s) ORDER BY id""",
        [list(ids)],
    )


async def list_after(replica: Replica, category_id: UUID | None, after: UUID, limit: int) -> list[ProductRow]:
    """Products of the category (of any, when it is None) by id."""
    return await replica.all(
        ProductRow,
        """SELECT products.*, amount, currency, available, reserved, sold
           FROM products JOIN prices ON prices.product_id = id JOIN stock ON stock.product_id = id
           WHERE id > %(after)s AND (%(category_id)s::uuid IS NULL OR category_id = %(category_id)s)
           ORDER BY id LIMIT %(limit)s""",
        {"category_id": category_id, "after": after, "limit": limit},
    )


async def update(primary: Primary, values: dict[str, Any]) -> bool:
    """Changes what is not None; whether the product is there."""
    attributes = values["attributes"]
    with constraints(_meaning()):
        touched = await primary.one(
            Touched,
            """UPDATE products SET name = coalesce(%(name)s, name), brand = coalesce(%(brand)s, brand),
                   category_id = coalesce(%(category_id)s, category_id),
                   description = coalesce(%(description)s, description),
                   attributes = coalesce(%(attributes)s, attributes), status = coalesce(%(status)s, status),
                   updated_at = now(), version = version + 1
               WHERE id = %(id)s RETURNING id""",
            {**values, "attributes": None if attributes is None else Jsonb(attributes)},
        )
    return touched is not None


async def set_price(primary: Primary, product_id: UUID, amount: Decimal, currency: str) -> bool:
    return None is not await primary.one(
        Touched,
        """UPDATE prices SET amount = %s, currency = %s, updated_at = now()
           WHERE product_id = %s RETURNING product_id AS id""",
        [amount, currency, product_id],
    )


async def receive_goods(primary: Primary, product_id: UUID, pieces: int) -> bool:
    return None is not await primary.one(
        Touched,
        """UPDATE stock SET available = available + %s, updated_at = now()
           WHERE product_id = %s RETURNING product_id AS id""",
        [pieces, product_id],
    )


async def delete(primary: Primary, product_id: UUID) -> bool:
    """Price and stock go with the product; reservations stay as facts."""
    return await primary.one(Touched, "DELETE FROM products WHERE id = %s RETURNING id", [product_id]) is not None
