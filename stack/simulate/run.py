"""Writes a history: made in one process, chunk after chunk, while a thread for each database writes the chunk before.

Each database commits a chunk by itself, so an interrupted run leaves some a chunk ahead of others; the same run again
goes on from there and ends with the same rows.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg

from stack.simulate import beginning, goods
from stack.simulate.customers import Customers, customers
from stack.simulate.databases import (
    Connections,
    NoDatabases,
    accounts,
    be_the_only_one,
    opened,
    refuse_foreign,
    write_chunk,
)
from stack.simulate.history import History
from stack.simulate.orders import Placed, Placing
from stack.simulate.rows import COLUMNS, Chunk
from stack.simulate.shelves import Shelves
from stack.simulate.visits import Visits
from stack.steps import Tick

CHUNK = 1000
_TABLES_MISSING = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InvalidSchemaName)


@dataclass
class Written:
    """`orders` were made, `new` of them were not there before (in the orders' database); `outcomes` counts all of them."""

    orders: int = 0
    new: int = 0
    customers: int = 0
    products: int = 0
    events: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


def simulate(dsns: Mapping[str, str], history: History, visits: Visits | None, tick: Tick) -> Written:
    """Write the history into the services' databases, and its visits where they are wanted.

    Raises:
        NoDatabases: one cannot be reached, or has not its tables.
        ForeignOrders: the shop has other orders of these days.
        AtWork: another one is writing.
    """
    with opened(dsns) as connections:
        try:
            return _simulate(connections, history, visits, tick)
        except _TABLES_MISSING as error:
            raise NoDatabases(
                f"a service's tables are not as they should be ({error.diag.message_primary}): "
                "millrace up --only users,products,orders,payments"
            ) from None
        except psycopg.OperationalError as error:
            why = str(error).splitlines()[0]
            raise NoDatabases(
                f"a database went away ({why}): see `millrace status`; the same command goes on from there"
            ) from None


def _simulate(connections: Connections, history: History, visits: Visits | None, tick: Tick) -> Written:
    be_the_only_one(connections)
    refuse_foreign(connections, history)
    ledger = accounts(connections)
    tick("making customers and the catalogue", 0, 0)
    people, products = customers(history), goods.products(history)
    beginning.write_customers(connections["users"], people)
    beginning.write_catalogue(connections["products"], goods.categories(history), products)
    beginning.begin_reconciling_after(connections["payments"], history)
    written = Written(customers=len(people.all), products=len(products))
    with _Writers(connections) as writers:
        for chunk in _chunks(history, people, products, ledger, written, visits):
            written.new += writers.write(chunk)
            written.orders += chunk.orders
            tick("writing orders, payments and goods", written.orders, history.orders)
        written.new += writers.end()
    if visits is not None:
        written.events = visits.end()
    return written


def _chunks(
    history: History,
    people: Customers,
    products: list[goods.Product],
    ledger: tuple[int, int],
    written: Written,
    visits: Visits | None,
) -> Iterator[Chunk]:
    """Each begins with an order that was paid for, or nearly: by it every database can tell whether it has the chunk."""
    shelves = Shelves(history.chooser("shelves"), history.orders / history.days, products)
    chunk: Chunk | None = None
    for placed in Placing(history, products, people, shelves).orders():
        if chunk is None or (chunk.orders >= CHUNK and placed.payment_id is not None):
            if chunk is not None:
                yield _ended(chunk, shelves)
            chunk = Chunk(placed.order.id)
        chunk.add(placed, ledger)
        _note(placed, written, visits)
    if chunk is not None:
        shelves.advance(history.end)
        yield _ended(chunk, shelves)


def _note(placed: Placed, written: Written, visits: Visits | None) -> None:
    written.outcomes[placed.outcome] += 1
    if visits is not None:
        visits.add(placed)


def _ended(chunk: Chunk, shelves: Shelves) -> Chunk:
    """The chunk with what came in meanwhile."""
    chunk.movements += shelves.moved
    shelves.moved = []
    chunk.end()
    return chunk


class _Writers:
    """A thread for each database; one chunk is written while the next is made. Use as a context."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._threads = {name: ThreadPoolExecutor(1, thread_name_prefix=f"write-{name}") for name in COLUMNS}
        self._under_way: list[tuple[int, dict[str, Future[bool]]]] = []

    def __enter__(self) -> "_Writers":
        return self

    def __exit__(self, *_: Any) -> None:
        for thread in self._threads.values():
            thread.shutdown(cancel_futures=True)

    def write(self, chunk: Chunk) -> int:
        """Take the chunk; how many new orders the one before it had. Raises what writing that one raised."""
        before = self.end()
        futures = {
            name: thread.submit(write_chunk, self._connections[name], name, chunk)
            for name, thread in self._threads.items()
        }
        self._under_way.append((chunk.orders, futures))
        return before

    def end(self) -> int:
        """Wait for the last chunk; how many new orders it had."""
        new = 0
        while self._under_way:
            orders, futures = self._under_way.pop()
            outcomes = {name: future.result() for name, future in futures.items()}
            new += orders if outcomes["orders"] else 0
        return new
