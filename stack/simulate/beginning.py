"""What is there before anybody buys: customers, and the catalogue with its prices over time. One transaction a database."""

from collections.abc import Iterator
from operator import itemgetter
from typing import Any, LiteralString

import orjson
import psycopg

from stack.simulate.customers import Customers
from stack.simulate.databases import write
from stack.simulate.goods import CURRENCY, Category, Product
from stack.simulate.history import History

_USERS = ("id", "email", "full_name", "country", "marketing_consent", "created_at", "updated_at", "email_verified_at")
_ADDRESSES = ("id", "user_id", "kind", "line1", "postal_code", "city", "country", "created_at", "updated_at")
_CATEGORIES = ("id", "parent_id", "name", "slug", "path", "created_at", "updated_at")
_PRODUCTS = (
    "id", "sku", "category_id", "name", "brand", "description", "attributes", "created_at", "updated_at", "version",
)  # fmt: skip
_PRICES = ("product_id", "amount", "currency", "compare_at", "updated_at")
_CHANGE: LiteralString = "UPDATE public.prices SET amount = %s, compare_at = %s, updated_at = %s WHERE product_id = %s"
# Before the provider's book began: its list knows none of these payments, and none is to be looked for in it.
_RECONCILED: LiteralString = """
    INSERT INTO service.reconciliation_progress (seen_until) VALUES (%s)
    ON CONFLICT (id) DO UPDATE SET seen_until = greatest(reconciliation_progress.seen_until, excluded.seen_until)"""


def write_customers(connection: psycopg.Connection[Any], customers: Customers) -> bool:
    """Users who cannot log in: they have no password. Whether they were not there yet."""
    with connection.transaction():
        if connection.execute("SELECT 1 FROM public.users WHERE id = %s", [customers.all[0].id]).fetchone():
            return False
        write(connection, "public.users", _USERS, _user_rows(customers))
        write(connection, "public.addresses", _ADDRESSES, _address_rows(customers))
        write(connection, "service.credentials", ("user_id",), ((each.id,) for each in customers.all))
    return True


def write_catalogue(connection: psycopg.Connection[Any], categories: list[Category], products: list[Product]) -> bool:
    """Categories (those that are there are used), products, empty stock, and each price with its changes in time's order."""
    with connection.transaction():
        if connection.execute("SELECT 1 FROM public.products WHERE id = %s", [products[0].id]).fetchone():
            return False
        known = dict(connection.execute("SELECT slug, id FROM public.categories").fetchall())
        new = [category for category in categories if category.slug not in known]
        ids = {category.path: known.get(category.slug, category.id) for category in categories}
        write(
            connection,
            "public.categories",
            _CATEGORIES,
            ((c.id, ids.get(c.parent), c.path[-1], c.slug, list(c.path), c.at, c.at) for c in new),
        )
        rows = ((p, ids[p.path]) for p in products)
        write(connection, "public.products", _PRODUCTS, (_product_row(p, category) for p, category in rows))
        write(connection, "public.stock", ("product_id", "updated_at"), ((p.id, p.since) for p in products))
        first = ((p.id, p.prices[0].amount, CURRENCY, p.prices[0].compare_at, p.since) for p in products)
        write(connection, "public.prices", _PRICES, first)
        changes = [(price.amount, price.compare_at, price.at, p.id) for p in products for price in p.prices[1:]]
        with connection.cursor() as cursor:
            cursor.executemany(_CHANGE, sorted(changes, key=itemgetter(2, 3)))
    return True


def begin_reconciling_after(connection: psycopg.Connection[Any], history: History) -> None:
    """Tell the payments service's reconciliation that everything of the history was compared."""
    connection.execute(_RECONCILED, [history.end])


def _user_rows(customers: Customers) -> Iterator[tuple[Any, ...]]:
    for each in customers.all:
        body = each.body
        yield (
            each.id, body["email"], body["full_name"], body["country"], body["marketing_consent"], each.at, each.at, each.at,
        )  # fmt: skip


def _address_rows(customers: Customers) -> Iterator[tuple[Any, ...]]:
    for each in customers.all:
        body = each.address
        yield (
            each.address_id, each.id, body["kind"], body["line1"], body["postal_code"], body["city"], body["country"],
            each.at, each.at,
        )  # fmt: skip


def _product_row(product: Product, category: object) -> tuple[Any, ...]:
    body = product.body
    return (
        product.id, product.sku, category, body["name"], body["brand"], body["description"],
        orjson.dumps(body["attributes"]).decode(), product.since, product.prices[-1].at, len(product.prices),
    )  # fmt: skip
