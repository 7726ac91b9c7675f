"""Stock at the functions that every route ends in, on a database of its own: races, expiry, and one hot product."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest

from bench.inventory import CLIENTS, Warehouse, attempt, crowd, measure, warehouse
from services.kit.db import Primary
from services.products import endings, reservations, stock
from services.products.reservations import Hold, InsufficientStock, ReservationClosed
from services.products.stock_schemas import NewReservation, WantedLine
from tests.integration.services.shop import Stack

T = TypeVar("T")
DUE = timedelta(0)


@pytest.fixture(scope="module")
def hall(stack: Stack) -> Iterator[Warehouse]:
    with warehouse(stack.env["POSTGRES_ADMIN_DSN"]) as made:
        yield made


def run(hall: Warehouse, work: Callable[[Primary], Awaitable[T]]) -> T:
    async def within() -> T:
        async with Primary(hall.dsn, "test") as primary:
            return await work(primary)

    return asyncio.run(within())


def wanted(order_id: UUID, *products: UUID, quantity: int = 1) -> NewReservation:
    lines = [WantedLine(product_id=product, quantity=quantity) for product in products]
    return NewReservation(order_id=order_id, lines=lines)


def movements(hall: Warehouse, order_id: UUID) -> list[str]:
    query = "SELECT kind FROM stock_movements WHERE order_id = %s ORDER BY id"
    return [kind for (kind,) in hall.connection.execute(query, [order_id])]


@pytest.mark.parametrize(
    ("attempts", "pieces"),
    [(3_000, 1_000), pytest.param(100_000, 30_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])],
)
def test_a_crowd_gets_exactly_the_pieces_there_are(attempts: int, pieces: int, hall: Warehouse) -> None:
    hot = hall.product(pieces)
    outcomes, seconds = run(hall, lambda primary: crowd(attempts, lambda: attempt(primary, hot)))
    print(f"{attempts / seconds:.0f} attempts/s")
    assert outcomes == {"sold": pieces, "refused": attempts - pieces}
    assert hall.level(hot) == (0, pieces, 0)
    assert hall.broken() == {}


def test_the_bench_measures_the_function_the_bare_update_and_the_route(engine: None) -> None:
    figures = {metric.metric: metric for metric in measure(2 * CLIENTS, CLIENTS)}
    assert figures["sold beyond the stock"].value == 0
    assert (figures["reserve"].ceiling or 0) > 0
    assert figures["over HTTP, one process"].value > 0


def test_orders_of_crossing_lines_share_the_last_pieces_without_a_ring(hall: Warehouse) -> None:
    first, second, third = (hall.product(20) for _ in range(3))
    rings = [(first, second), (second, third), (third, first), (third, second, first)]

    async def race(primary: Primary) -> list[Hold | BaseException]:
        orders = (wanted(uuid4(), *rings[number % 4]) for number in range(80))
        return await asyncio.gather(*(reservations.reserve(primary, order) for order in orders), return_exceptions=True)

    answers = run(hall, race)
    held = [answer for answer in answers if isinstance(answer, Hold)]
    refused = [answer for answer in answers if isinstance(answer, InsufficientStock)]
    assert (len(held) + len(refused), len(refused) > 0) == (80, True)
    taken = sum(level[1] for level in map(hall.level, (first, second, third)))
    assert taken == sum(len(hold.lines) for hold in held)
    assert hall.broken() == {}


def test_a_due_hold_is_given_back_and_its_order_closed(hall: Warehouse) -> None:
    product, due, kept = hall.product(5), uuid4(), uuid4()

    async def work(primary: Primary) -> None:
        await reservations.reserve(primary, wanted(due, product, quantity=2), DUE)
        await reservations.reserve(primary, wanted(kept, product))
        assert await endings.expire(primary) == 1
        assert await endings.expire(primary) == 0
        with pytest.raises(ReservationClosed, match="expired"):
            await endings.commit(primary, due)
        with pytest.raises(ReservationClosed, match="expired"):
            await reservations.reserve(primary, wanted(due, product, quantity=2))
        await endings.release(primary, due)
        await endings.commit(primary, kept)

    run(hall, work)
    assert hall.level(product) == (4, 0, 1)
    assert movements(hall, due) == ["reserved", "expired"]
    assert movements(hall, kept) == ["reserved", "committed"]
    assert hall.broken() == {}


def test_several_sweepers_expire_each_hold_once(hall: Warehouse) -> None:
    products = [hall.product(100) for _ in range(3)]

    async def work(primary: Primary) -> list[int]:
        for number in range(60):
            turned = products[number % 3 :] + products[: number % 3]
            await reservations.reserve(primary, wanted(uuid4(), *turned[:2]), DUE)
        return await asyncio.gather(*(endings.expire(primary) for _ in range(4)))

    assert sum(run(hall, work)) == 60
    assert [hall.level(product) for product in products] == [(100, 0, 0)] * 3
    assert hall.broken() == {}


def test_a_commit_and_the_expiry_of_its_hold_never_both_happen(hall: Warehouse) -> None:
    """The race of a payment that is authorised when its hold has just ended."""
    product, orders = hall.product(40), [uuid4() for _ in range(40)]

    async def commit(primary: Primary, order_id: UUID) -> bool:
        try:
            await endings.commit(primary, order_id)
        except ReservationClosed:
            return False
        return True

    async def work(primary: Primary) -> tuple[int, int]:
        for order_id in orders:
            await reservations.reserve(primary, wanted(order_id, product), DUE)
        *committed, expired = await asyncio.gather(
            *(commit(primary, order_id) for order_id in orders), endings.expire(primary)
        )
        return sum(committed), expired + await endings.expire(primary)

    committed, expired = run(hall, work)
    assert committed + expired == 40
    assert hall.level(product) == (expired, 0, committed)
    assert hall.broken() == {}


def test_a_release_beside_its_reserve_leaves_nothing_held(hall: Warehouse) -> None:
    """Whichever comes first, and however often each is sent: a late reserve is refused."""
    product, orders = hall.product(30), [uuid4() for _ in range(30)]

    async def work(primary: Primary) -> None:
        for order_id in orders:
            await asyncio.gather(
                reservations.reserve(primary, wanted(order_id, product)),
                endings.release(primary, order_id),
                reservations.reserve(primary, wanted(order_id, product)),
                return_exceptions=True,
            )
            with pytest.raises(ReservationClosed):
                await reservations.reserve(primary, wanted(order_id, product))

    run(hall, work)
    assert hall.level(product) == (30, 0, 0)
    assert hall.broken() == {}


def test_corrections_never_take_what_is_held(hall: Warehouse) -> None:
    product = hall.product(5)

    async def work(primary: Primary) -> None:
        await reservations.reserve(primary, wanted(uuid4(), product, quantity=3))
        with pytest.raises(stock.CorrectionRefused):
            await stock.adjust(primary, product, -3, "broken")
        await stock.adjust(primary, product, -2, "broken")
        await stock.adjust(primary, product, 1, "found")
        with pytest.raises(stock.TooManyPieces):
            await stock.receive(primary, product, stock.MAX_PIECES)

    run(hall, work)
    assert hall.level(product) == (1, 3, 0)
    assert hall.broken() == {}


@pytest.mark.parametrize("table", ["stock_movements", "price_changes"])
@pytest.mark.parametrize("change", ["UPDATE {} SET at = now()", "DELETE FROM {}", "TRUNCATE {}"])
def test_what_happened_is_never_rewritten(table: str, change: str, hall: Warehouse) -> None:
    """Not by its owner, whose rights are revoked, and not by a superuser either: the trigger refuses."""
    hall.product(1)
    with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
        hall.connection.execute(change.format(table).encode())


@pytest.mark.parametrize("table", ["stock_movements", "price_changes"])
def test_the_service_has_no_right_to_rewrite_what_happened(table: str, stack: Stack) -> None:
    with psycopg.connect(stack.env["PRODUCTS_DSN"]) as connection:
        query = "SELECT has_table_privilege(%s, 'INSERT'), has_table_privilege(%s, 'UPDATE, DELETE, TRUNCATE')"
        assert connection.execute(query, [table, table]).fetchall() == [(True, False)]
