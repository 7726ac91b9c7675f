"""The orders' streams in the database: append-only, one writer at a time, and enough to make the tables anew."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from services.kit.db import Primary
from services.kit.ids import uuid7
from services.orders import repository
from services.orders.eventstore import EventStore, VersionConflict
from services.orders.order import BeginCapture, Cancel, Command, Confirm, Order, Place, RequestCancellation, Reserve
from services.orders.rebuild import rebuild
from services.orders.stream import CaptureBegun, OrderConfirmed
from tests.integration.services.shop import Shop
from tests.unit.services.test_orders_order import PLACED, RESERVED

LIFE: list[Command] = [
    Place(PLACED), Reserve(RESERVED), BeginCapture(), Confirm(), RequestCancellation(), Cancel(),
]  # fmt: skip


def with_primary(shop: Shop, work: Callable[[Primary], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with Primary(shop.env["ORDERS_DSN"], "test") as primary:
            return await work(primary)

    return asyncio.run(run())


async def live(primary: Primary, store: EventStore, *commands: Command) -> Order:
    order_id = uuid7()
    for command in commands:
        order = await repository.execute(primary, store, order_id, command)
    return order


async def cancel(primary: Primary, order_id: UUID) -> None:
    """Nobody paid for it: the shop's books add up again."""
    for command in LIFE[-2:]:
        await repository.execute(primary, EventStore(), order_id, command)


def rows(shop: Shop, order_id: UUID) -> list[tuple[Any, ...]]:
    return shop.sql("orders", "SELECT status, version, updated_at FROM orders WHERE id = %s", [order_id])


def test_the_tables_follow_in_the_same_transaction(shop: Shop) -> None:
    order: Order = with_primary(shop, lambda primary: live(primary, EventStore(), *LIFE))
    assert rows(shop, order.id) == [("CANCELLED", len(LIFE), order.updated_at)]
    stored = shop.sql(
        "orders", "SELECT type FROM service.order_events WHERE stream_id = %s ORDER BY version", [order.id]
    )
    assert [name for (name,) in stored] == [
        "OrderPlaced.v2", "StockReserved.v1", "CaptureBegun.v1",
        "OrderConfirmed.v1", "CancellationRequested.v1", "OrderCancelled.v1",
    ]  # fmt: skip


@pytest.mark.parametrize("snapshot_every", [1, 2, 50])
def test_an_order_is_the_same_with_and_without_snapshots(shop: Shop, snapshot_every: int) -> None:
    async def work(primary: Primary) -> None:
        order = await live(primary, EventStore(snapshot_every), *LIFE)
        assert await repository.read(primary, EventStore(snapshot_every), order.id) == order
        taken = shop.sql("orders", "SELECT version FROM service.order_snapshots WHERE stream_id = %s", [order.id])
        assert taken == ([] if snapshot_every == 50 else [(len(LIFE),)])

    with_primary(shop, work)


def test_the_second_writer_at_a_version_is_refused_and_writes_nothing(shop: Shop) -> None:
    async def work(primary: Primary) -> Order:
        store = EventStore()
        order = await live(primary, store, *LIFE[:2])
        async with primary.transaction() as transaction:
            await store.append(transaction, order.id, order, [CaptureBegun()], {})
        with pytest.raises(VersionConflict, match="was changed meanwhile"):
            async with primary.transaction() as transaction:
                await store.append(transaction, order.id, order, [OrderConfirmed()], {})
        after = await repository.read(primary, store, order.id)
        assert after is not None and (after.version, after.status) == (3, "PENDING")
        confirmed = await repository.execute(primary, store, order.id, Confirm())
        await cancel(primary, order.id)
        return confirmed

    assert with_primary(shop, work).version == 4


def test_commands_at_once_happen_once(shop: Shop) -> None:
    async def work(primary: Primary) -> None:
        store = EventStore()
        order = await live(primary, store, *LIFE[:3])
        done = await asyncio.gather(*(repository.execute(primary, store, order.id, Confirm()) for _ in range(8)))
        assert {(one.status, one.version) for one in done} == {("CONFIRMED", 4)}
        await cancel(primary, order.id)

    with_primary(shop, work)


@pytest.mark.parametrize(
    "change", ["UPDATE {} SET type = 'x'", "DELETE FROM {}", "TRUNCATE {}", "UPDATE {} SET version = 9 WHERE false"]
)
def test_the_database_refuses_to_change_events(shop: Shop, change: str) -> None:
    with psycopg.connect(shop.env["ORDERS_DSN"], autocommit=True) as connection:
        statement = psycopg.sql.SQL(change).format(psycopg.sql.Identifier("service", "order_events"))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
        with connection.transaction(force_rollback=True):
            connection.execute("GRANT UPDATE, DELETE, TRUNCATE ON service.order_events TO CURRENT_USER")
            with pytest.raises(psycopg.errors.RestrictViolation, match="append another event"):
                connection.execute(statement)


def test_a_rebuild_reproduces_every_row_and_names_a_damaged_one(
    shop: Shop, user: str, category: dict[str, Any]
) -> None:
    product = shop.product(category["id"], stock=3)
    good, declined = shop.order(user, {product["id"]: 1}), shop.order(user, {product["id"]: 1}, "tok_declined")
    shop.order(user, {product["id"]: 99})
    shop.ask("orders", "POST", f"/orders/{good.body['id']}/cancel", 200)
    kept = shop.order(user, {product["id"]: 2}).body["id"]
    dsn = shop.env["ORDERS_DSN"]
    done = rebuild(dsn)
    assert done.orders >= 4 and done.differences == []
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE orders SET status = 'CONFIRMED' WHERE id = %s", [declined.body["order_id"]])
        connection.execute("UPDATE order_items SET sku = 'damaged' WHERE order_id = %s", [kept])
        stray = uuid7()
        connection.execute(
            "INSERT INTO orders (id, user_id, status, currency) VALUES (%s, %s, 'FAILED', 'EUR')", [stray, user]
        )
        try:
            found = {(one.table, one.key): one for one in rebuild(dsn, repair=True).differences}
            assert set(found) == {
                ("orders", declined.body["order_id"]), ("orders", str(stray)), ("order_items", f"{kept} line 1"),
            }  # fmt: skip
            assert found["orders", str(stray)].rebuilt is None
            assert "damaged" in str(found["order_items", f"{kept} line 1"].kept)
        finally:
            connection.execute("DELETE FROM orders WHERE id = %s", [stray])
    assert rebuild(dsn).differences == []
