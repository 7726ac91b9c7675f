"""Attempts a second on one product that everybody wants, beside a bare conditional UPDATE of the same row.

The bare UPDATE keeps no hold, no reservation, no answer and no movement; it says what the row itself allows. Both run in
turns in one process with as many clients, on a database of their own that is removed afterwards; medians are compared.
What was sold is counted against the stock afterwards: a figure for stock that was oversold would say nothing.
"""

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

import httpx
import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.sql import SQL, Identifier

from bench.report import Metric
from bench.steps import step
from services.invariants.rules import queries
from services.kit.db import Primary
from services.kit.ids import uuid7
from services.kit.migrate import complete
from services.kit.token_source import TokenSource
from services.products import reservations
from services.products.stock_schemas import NewReservation, WantedLine

CLIENTS = 32
TURNS = 3
BAR_PER_S = 1000.0
_WAIT_S = 30.0


@dataclass(frozen=True)
class Warehouse:
    """A products database of its own; `connection` commits each statement."""

    dsn: str
    connection: psycopg.Connection

    def product(self, pieces: int) -> UUID:
        """A new product with so many pieces; its id."""
        category, product = uuid7(), uuid7()
        with self.connection.transaction():
            self.connection.execute(
                "INSERT INTO categories (id, name, slug, path) VALUES (%s, 'Hot', %s, '{Hot}')",
                [category, f"hot-{category}"],
            )
            self.connection.execute(
                "INSERT INTO products (id, sku, category_id, name, brand) VALUES (%s, %s, %s, 'Hot', 'Millrace')",
                [product, f"hot-{product}", category],
            )
            self.connection.execute("INSERT INTO prices (product_id, amount) VALUES (%s, 1)", [product])
            self.connection.execute("INSERT INTO stock (product_id, available) VALUES (%s, %s)", [product, pieces])
            if pieces:
                self.connection.execute(
                    "INSERT INTO stock_movements (product_id, kind, quantity) VALUES (%s, 'received', %s)",
                    [product, pieces],
                )
        return product

    def level(self, product: UUID) -> tuple[int, int, int]:
        """(available, reserved, sold)."""
        query = "SELECT available, reserved, sold FROM stock WHERE product_id = %s"
        [(available, reserved, sold)] = self.connection.execute(query, [product]).fetchall()
        return available, reserved, sold

    def broken(self) -> dict[str, list[tuple[object, ...]]]:
        """The invariants that do not hold, with the rows that break them."""
        found = {name: self.connection.execute(query).fetchall() for name, query in queries("products").items()}
        return {name: rows for name, rows in found.items() if rows}


@contextmanager
def warehouse(admin_dsn: str) -> Iterator[Warehouse]:
    """A products database with its migrations on the server of `admin_dsn`; removed at the end."""
    parts = {key: str(value) for key, value in conninfo_to_dict(admin_dsn).items()}
    name = f"inventory_{uuid4().hex[:12]}"
    dsn = f"postgresql://{parts['user']}:{parts['password']}@{parts['host']}:{parts['port']}/{name}"
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        try:
            complete(dsn, "products")
            with psycopg.connect(dsn, autocommit=True) as connection:
                yield Warehouse(dsn, connection)
        finally:
            admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


async def attempt(primary: Primary, product: UUID) -> str:
    """One piece for a new order: `sold` or `refused`."""
    try:
        line = WantedLine(product_id=product, quantity=1)
        await reservations.reserve(primary, NewReservation(order_id=uuid7(), lines=[line]))
    except reservations.InsufficientStock:
        return "refused"
    return "sold"


async def crowd(attempts: int, one: Callable[[], Awaitable[str]], clients: int = CLIENTS) -> tuple[Counter[str], float]:
    """So many attempts by so many clients at once: what came of them, and the seconds they took."""
    left = iter(range(attempts))
    outcomes: Counter[str] = Counter()

    async def client() -> None:
        for _ in left:
            outcomes[await one()] += 1

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    return outcomes, time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class _Taken:
    available: int


async def _bare(primary: Primary, product: UUID) -> str:
    taken = await primary.one(
        _Taken,
        """UPDATE stock SET available = available - 1, reserved = reserved + 1
           WHERE product_id = %s AND available >= 1 RETURNING available""",
        [product],
    )
    return "refused" if taken is None else "sold"


async def _by(
    hall: Warehouse, one: Callable[[Primary, UUID], Awaitable[str]], attempts: int, pieces: int
) -> tuple[UUID, float]:
    """Attempts a second by function `one` on a new product, with the product."""
    product = hall.product(pieces)
    async with Primary(hall.dsn, "bench") as primary:
        outcomes, seconds = await crowd(attempts, lambda: one(primary, product))
    if (outcomes["sold"], hall.level(product)) != (pieces, (0, pieces, 0)):
        raise RuntimeError(f"{outcomes} of {pieces} pieces, stock {hall.level(product)}: the figure would say nothing")
    return product, attempts / seconds


def measure(attempts: int, pieces: int) -> list[Metric]:
    """Attempts on products of so many pieces, by the repository function, bare, and over HTTP."""
    with warehouse(os.environ["POSTGRES_ADMIN_DSN"]) as hall:
        ours, bare = [], []
        for turn in range(TURNS):
            step(f"turn {turn + 1} of {TURNS}: {attempts:,} attempts bare, then by the reservation")
            product, rate = asyncio.run(_by(hall, _bare, attempts, pieces))
            bare.append(rate)
            hall.connection.execute("DELETE FROM products WHERE id = %s", [product])  # it has no movements
            ours.append(asyncio.run(_by(hall, attempt, attempts, pieces))[1])
        if broken := hall.broken():
            raise RuntimeError(f"invariants are broken: {broken}")
        step("over HTTP")
        over_http = _http(hall, max(attempts // 4, CLIENTS), max(pieces // 4, 1))
    rate, ceiling = statistics.median(ours), statistics.median(bare)
    return [
        Metric("attempts in a turn", attempts, "attempts"),
        Metric("pieces in a turn", pieces, "pieces"),
        Metric("clients", CLIENTS, "at once"),
        Metric("sold beyond the stock", 0, "pieces", bar=0, met=True),
        Metric(
            "reserve",
            round(rate, 1),
            "attempts/s",
            round(ceiling, 1),
            round(rate / ceiling, 3),
            BAR_PER_S,
            rate >= BAR_PER_S,
        ),
        Metric("slowest turn", round(min(ours), 1), "attempts/s"),
        Metric("over HTTP, one process", round(over_http, 1), "attempts/s"),
    ]


def _http(hall: Warehouse, attempts: int, pieces: int) -> float:
    """Attempts a second on a products process of its own."""
    product = hall.product(pieces)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    environment = {**os.environ, "PRODUCTS_DSN": hall.dsn, "PRODUCTS_REPLICA_DSN": "", "PORT": str(port)}
    with subprocess.Popen(
        [sys.executable, "-m", "services.products"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_ready(process, url)
            return asyncio.run(_over_http(url, hall, product, attempts, pieces))
        finally:
            process.terminate()


async def _over_http(url: str, hall: Warehouse, product: UUID, attempts: int, pieces: int) -> float:
    limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    auth = TokenSource(os.environ["SESSIONS_URL"], "orders", os.environ["ORDERS_CLIENT_SECRET"])
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=_WAIT_S, trust_env=False, auth=auth) as http:

        async def one() -> str:
            body = {"order_id": str(uuid7()), "lines": [{"product_id": str(product), "quantity": 1}]}
            answer = await http.post("/reservations", json=body)
            return {201: "sold", 409: "refused"}[answer.status_code]

        outcomes, seconds = await crowd(attempts, one)
    if (outcomes["sold"], hall.level(product)) != (pieces, (0, pieces, 0)):
        raise RuntimeError(f"{outcomes} of {pieces} pieces over HTTP: the figure would say nothing")
    return attempts / seconds


def _wait_until_ready(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline, answer = time.monotonic() + _WAIT_S, "none"
    while process.poll() is None and time.monotonic() < deadline:
        try:
            response = httpx.get(f"{url}/readyz", trust_env=False)
            if response.is_success:
                return
            answer = response.text
        except httpx.TransportError:
            answer = "none"
        time.sleep(0.05)  # polls a process that starts: there is no notification
    raise RuntimeError(f"the products process is not ready; its last answer: {answer}")
