"""`python -m services.orders.rebuild [--repair]`: make the orders' tables anew from their events, and compare.

The rows are written into temporary tables of the same shape and compared as PostgreSQL prints them, all in one snapshot
of the database: orders may be placed meanwhile. Prints each row that differs and exits with 1 when there is one.
With `--repair` the differing rows are replaced by what the events say; rows that no event accounts for are only named.
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from services.orders.eventstore import StoredEvent
from services.orders.order import Order, evolve
from services.orders.projection import WRITE_ITEMS, WRITE_ORDER, item_values, order_values

_BATCH = 500
# Unqualified names find temporary tables first: the projection's own statements write into these.
_SHADOWS: tuple[LiteralString, ...] = (
    "CREATE TEMPORARY TABLE orders (LIKE public.orders INCLUDING ALL) ON COMMIT DROP",
    "CREATE TEMPORARY TABLE order_items (LIKE public.order_items INCLUDING ALL) ON COMMIT DROP",
)
_DIFFERING: LiteralString = """
    SELECT 'orders' AS table, coalesce(kept.id, made.id)::text AS key, kept::text AS kept, made::text AS rebuilt
    FROM public.orders AS kept FULL JOIN pg_temp.orders AS made USING (id) WHERE kept::text IS DISTINCT FROM made::text
    UNION ALL
    SELECT 'order_items', order_id || ' line ' || line, kept::text, made::text
    FROM public.order_items AS kept FULL JOIN pg_temp.order_items AS made USING (order_id, line)
    WHERE kept::text IS DISTINCT FROM made::text
    ORDER BY 1, 2"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not what its order's events say; None where there is no row."""

    table: str
    key: str
    kept: str | None
    rebuilt: str | None


@dataclass(frozen=True, slots=True)
class Rebuilt:
    orders: int
    differences: list[Difference]


@dataclass(frozen=True, slots=True)
class _Stored(StoredEvent):
    stream_id: UUID


def rebuild(dsn: str, *, repair: bool = False) -> Rebuilt:
    """How many orders there are by their events, and every row that differs (before the repair)."""
    with psycopg.connect(dsn, application_name="rebuild") as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with connection.transaction():
            for statement in _SHADOWS:
                connection.execute(statement)
            count = 0
            with connection.cursor() as writer:
                for batch in _batches(_orders(connection)):
                    writer.executemany(WRITE_ORDER, [order_values(order) for order in batch])
                    writer.executemany(WRITE_ITEMS, [item_values(order) for order in batch])
                    count += len(batch)
            with connection.cursor(row_factory=class_row(Difference)) as reader:
                differences = reader.execute(_DIFFERING).fetchall()
            if repair and differences:
                _repair(connection)
    return Rebuilt(count, differences)


def _orders(connection: psycopg.Connection[Any]) -> Iterator[Order]:
    """Every order, from its first event on: snapshots are a shortcut that is not trusted here."""
    with connection.cursor("events", row_factory=class_row(_Stored)) as cursor:
        cursor.itersize = 5000
        cursor.execute(
            """SELECT stream_id, version, type, data, recorded_at FROM service.order_events
               ORDER BY stream_id, version"""
        )
        for stream_id, stored in groupby(cursor, lambda row: row.stream_id):
            order: Order | None = None
            for row in stored:
                order = evolve(order, row.recorded(stream_id))
            if order is not None:
                yield order


def _batches(orders: Iterator[Order]) -> Iterator[list[Order]]:
    batch: list[Order] = []
    for order in orders:
        batch.append(order)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _repair(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        """CREATE TEMPORARY TABLE wrong ON COMMIT DROP AS
           SELECT made.id FROM pg_temp.orders AS made LEFT JOIN public.orders AS kept USING (id)
           WHERE kept::text IS DISTINCT FROM made::text
           UNION SELECT coalesce(made.order_id, kept.order_id)
           FROM pg_temp.order_items AS made FULL JOIN public.order_items AS kept USING (order_id, line)
           WHERE kept::text IS DISTINCT FROM made::text
               AND coalesce(made.order_id, kept.order_id) IN (SELECT id FROM pg_temp.orders)"""
    )
    for statement in (
        "DELETE FROM public.orders WHERE id IN (SELECT id FROM wrong)",
        "INSERT INTO public.orders SELECT * FROM pg_temp.orders WHERE id IN (SELECT id FROM wrong)",
        "INSERT INTO public.order_items SELECT * FROM pg_temp.order_items WHERE order_id IN (SELECT id FROM wrong)",
    ):
        connection.execute(statement)


def main() -> int:
    parser = argparse.ArgumentParser(description="compare the orders' tables with their events")
    parser.add_argument("--repair", action="store_true", help="replace the rows that differ")
    repair: bool = parser.parse_args().repair
    if not (dsn := os.environ.get("ORDERS_DSN")):
        print('setting ORDERS_DSN (address of the orders database) is not set; try: eval "$(millrace env)"')
        return 2
    done = rebuild(dsn, repair=repair)
    for difference in done.differences:
        print(f"{difference.table} {difference.key}: {difference.kept} by its events {difference.rebuilt}")
    print(f"{done.orders} orders rebuilt, {len(done.differences)} rows differ")
    return 1 if done.differences and not repair else 0


if __name__ == "__main__":
    raise SystemExit(main())
