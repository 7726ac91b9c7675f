"""The three databases whose facts must agree, read-only: one transaction each, at nearly the same moment."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

NAMES = ("orders", "payments", "products")
FOLDER = Path(__file__).parent
Databases = Mapping[str, psycopg.Connection[Any]]
Row = dict[str, Any]

_IDS = {
    "orders": "SELECT id FROM public.orders WHERE id > %(after)s {since} ORDER BY id LIMIT %(limit)s",
    "payments": "SELECT order_id FROM public.payments WHERE order_id > %(after)s {since} ORDER BY 1 LIMIT %(limit)s",
    "products": "SELECT DISTINCT order_id FROM public.reservations WHERE order_id > %(after)s {since} "
    "ORDER BY 1 LIMIT %(limit)s",
}
_SINCE = "AND updated_at > clock_timestamp() - %(since)s * interval '1 second'"
_AT_ONCE = 5000
# A check must not hold up anybody, nor the removal of dead rows.
_OPTIONS = "-c timezone=UTC -c default_transaction_read_only=on -c statement_timeout=60000 -c lock_timeout=5000"


@contextmanager
def opened(dsns: Mapping[str, str]) -> Iterator[Databases]:
    """Connections to all of them. Raises psycopg.OperationalError when one does not answer."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                psycopg.connect(dsns[name], options=_OPTIONS, application_name="invariants", connect_timeout=5)
            )
            for name in NAMES
        }


def ask(database: psycopg.Connection[Any], query: str, values: Mapping[str, Any] | None = None) -> list[Row]:
    """Rows as dictionaries; the query is a file of this folder."""
    with database.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query.encode(), values).fetchall()


def order_ids(databases: Databases, since_s: float | None) -> Iterator[list[UUID]]:
    """Ids of all orders that any of the databases knows, or that changed in one of them since; a bounded number at once."""
    after = UUID(int=0)
    values = {"limit": _AT_ONCE, "since": since_s}
    since = "" if since_s is None else _SINCE
    while True:
        found: set[UUID] = set()
        for name in NAMES:
            rows = databases[name].execute(_IDS[name].format(since=since).encode(), {**values, "after": after})
            found |= {row[0] for row in rows}
        if not found:
            return
        ids = sorted(found)[:_AT_ONCE]  # beyond the last of them another database may know more
        yield ids
        after = ids[-1]
