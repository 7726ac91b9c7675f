"""The services' databases as a history is written into them: by COPY, a chunk of orders a transaction, all triggers in force.

A chunk whose first order is there is passed over, so a history that was interrupted goes on where each database was.
Refuses days on which the shop has orders that the history did not write.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql

from stack.errors import StackError
from stack.simulate.goods import CURRENCY
from stack.simulate.history import History
from stack.simulate.rows import COLUMNS, Chunk
from stack.simulate.shelves import Movement

NAMES = ("users", "products", "orders", "payments")
Connections = Mapping[str, psycopg.Connection[Any]]

_ONLY_ONE = 5_213_004
"""Any number that nobody else takes as an advisory lock."""
_THERE: dict[str, LiteralString] = {
    "orders": "SELECT EXISTS (SELECT FROM public.orders WHERE id = %s)",
    "products": "SELECT EXISTS (SELECT FROM service.holds WHERE order_id = %s)",
    "payments": "SELECT EXISTS (SELECT FROM public.payments WHERE order_id = %s)",
}
_FOREIGN: LiteralString = """
    SELECT count(*), min(placed_at) FROM public.orders
    WHERE placed_at >= %s AND placed_at < %s AND substr(replace(id::text, '-', ''), 17, 8) <> %s"""

# What the movements of a chunk make of each product's pieces.
_STOCK: LiteralString = """
    UPDATE public.stock SET available = stock.available + moved.available, sold = stock.sold + moved.sold,
        updated_at = greatest(updated_at, moved.at)
    FROM unnest(%s::uuid[], %s::integer[], %s::integer[], %s::timestamptz[]) AS moved(product_id, available, sold, at)
    WHERE stock.product_id = moved.product_id"""
_SIGNS = {
    "received": (1, 0),
    "adjusted": (1, 0),
    "reserved": (-1, 0),
    "released": (1, 0),
    "committed": (0, 1),
    "returned": (1, -1),
}
"""Of a movement of one piece: what it adds to `available` and to `sold`."""


class NoDatabases(StackError):
    """A service's database is not there, or has not its tables."""


class ForeignOrders(StackError):
    """The shop has orders of these days that the history did not write."""


class AtWork(StackError):
    """Another history is being written."""


@contextmanager
def opened(dsns: Mapping[str, str]) -> Iterator[Connections]:
    """A connection to each database. Raises NoDatabases."""
    with ExitStack() as stack:
        connections = {}
        for name in NAMES:
            try:
                connection = psycopg.connect(dsns[name], autocommit=True, application_name="simulate")
            except (KeyError, psycopg.OperationalError) as error:
                why = "no stack was started" if isinstance(error, KeyError) else str(error).splitlines()[0]
                raise NoDatabases(
                    f"the database of {name} cannot be reached ({why}): millrace up --only users,products,orders,payments"
                ) from None
            connections[name] = stack.enter_context(connection)
            connection.execute("SET synchronous_commit = off")  # what a crash takes, the next run writes again
        yield connections


def write(
    connection: psycopg.Connection[Any], table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """COPY the rows into the table, within the caller's transaction."""
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    into = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(*table.split(".")), names)
    with connection.cursor() as cursor, cursor.copy(into) as copy:
        for row in rows:
            copy.write_row(row)


def be_the_only_one(connections: Connections) -> None:
    """Until the connections end. Raises AtWork when somebody else writes a history."""
    taken = connections["orders"].execute("SELECT pg_try_advisory_lock(%s)", [_ONLY_ONE]).fetchone()
    if taken is None or not taken[0]:
        raise AtWork("another `millrace simulate` is writing into these databases: wait for it")


def refuse_foreign(connections: Connections, history: History) -> None:
    """Raise ForeignOrders when others have written orders of the same days."""
    found = connections["orders"].execute(_FOREIGN, [history.start, history.end, history.tag]).fetchone()
    if found is not None and found[0]:
        raise ForeignOrders(
            f"{found[0]} orders of these days were written by the shop or by another history, the first of {found[1]:%Y-%m-%d}: "
            f"choose days before it (--until {found[1]:%Y-%m-%d}), or an empty stack (MILLRACE_HOME and MILLRACE_PORT_BASE)"
        )


def accounts(connections: Connections) -> tuple[int, int]:
    """The ledger's accounts of the shop's currency: held for us by the provider, and paid by customers."""
    codes = dict(
        connections["payments"].execute("SELECT code, id FROM public.accounts WHERE ledger = %s", [CURRENCY]).fetchall()
    )
    return codes["provider_clearing"], codes["customer_payments"]


def write_chunk(connection: psycopg.Connection[Any], name: str, chunk: Chunk) -> bool:
    """The database's rows of the chunk, all or none; whether they were not there yet."""
    with connection.transaction():
        there = connection.execute(_THERE[name], [chunk.first]).fetchone()
        if there is not None and there[0]:
            return False
        for table, columns in COLUMNS[name].items():
            write(connection, table, columns, chunk.rows[name][table])
        if name == "products":
            _move(connection, chunk.movements)
    return True


def _move(connection: psycopg.Connection[Any], movements: Sequence[Movement]) -> None:
    """Bring the stock up to what moved; the rows are locked in the order of their ids, as the service does."""
    sums: dict[UUID, tuple[int, int, datetime]] = {}
    for moved in movements:
        available, sold = (sign * moved.quantity for sign in _SIGNS[moved.kind])
        before = sums.get(moved.product_id, (0, 0, moved.at))
        sums[moved.product_id] = (before[0] + available, before[1] + sold, max(before[2], moved.at))
    ids = sorted(sums)
    connection.execute(
        "SELECT FROM public.stock WHERE product_id = ANY(%s) ORDER BY product_id FOR NO KEY UPDATE", [ids]
    )
    given = [ids, *([sums[each][column] for each in ids] for column in range(3))]
    connection.execute(_STOCK, given)
