"""The services' migrations, applied to databases of their own: what the marts need is there, and what is taken away is named."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from lineage.breaks import breaks, declared
from lineage.compiled import project
from lineage.documents import indexed
from lineage.graph import build
from lineage.tiles import drawn
from metrics.contracts import contracts
from metrics.definitions import load
from services.kit.migrate import complete
from tests.conftest import Stack

COLUMNS = """
    SELECT format('%s.%s', n.nspname, c.relname), a.attname, format_type(a.atttypid, a.atttypmod)
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.relname, a.attnum
"""


@pytest.fixture(scope="module")
def databases(stack: Stack) -> Iterator[dict[str, str]]:
    """An empty database for each service that has migrations and captured tables, with the migrations applied."""
    names = sorted({table.split(".")[0] for table in declared(project())})
    made = {name: f"test_{uuid4().hex}" for name in names}
    admin_dsn = stack.env["POSTGRES_ADMIN_DSN"]
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        for name, database in made.items():
            admin.execute(SQL("CREATE DATABASE {}").format(Identifier(database)))
            complete(make_conninfo(admin_dsn, dbname=database), name)
        yield {name: make_conninfo(admin_dsn, dbname=database) for name, database in made.items()}
        for database in made.values():
            admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(database)))


def shapes(databases: dict[str, str], change: str = "SELECT") -> dict[str, dict[str, str]]:
    """The tables of every service; those of orders after a change that is taken back."""
    found: dict[str, dict[str, str]] = {}
    for name, dsn in databases.items():
        with psycopg.connect(dsn) as connection:
            if name == "orders":
                connection.execute(change)
            for table, column, kind in connection.execute(COLUMNS):
                found.setdefault(f"{name}.{table}", {})[column] = kind
            connection.rollback()
    return found


def broken(databases: dict[str, str], change: str = "SELECT") -> list[str]:
    known = project()
    graph = build(known, load(contracts()).by_name.values(), [*indexed(), *drawn()])
    return breaks(graph, declared(known), shapes(databases, change))


def test_the_migrations_make_what_the_marts_need(databases: dict[str, str]) -> None:
    """A migration that drops or retypes a column fails here, with every mart, metric, document and tile that needs it."""
    assert broken(databases) == []


def test_every_column_of_a_captured_table_is_declared(databases: dict[str, str]) -> None:
    assert shapes(databases) == declared(project())


def test_a_dropped_column_is_named_with_what_needs_it(databases: dict[str, str]) -> None:
    (said,) = broken(databases, "ALTER TABLE orders DROP COLUMN total CASCADE")
    assert said.startswith("orders.public.orders.total is gone; needed by analytics.")
    assert "metric.gross_revenue" in said and "analytics.rpt_revenue_daily.net_revenue" in said
    assert "tile.sales.revenue-over-time" in said


def test_a_retyped_column_is_named_with_what_needs_it(databases: dict[str, str]) -> None:
    (said,) = broken(databases, "ALTER TABLE order_items ALTER COLUMN quantity TYPE bigint")
    assert said.startswith("orders.public.order_items.quantity is bigint, not integer; needed by ")
    assert "metric.units," in said and "analytics.dim_products.units_sold" in said
