"""What has served its time is removed, and nothing else: replies, taken events, tombstones, sagas that have ended."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, LiteralString
from uuid import uuid4

import psycopg

from services.kit import idempotency, inbox
from services.kit.db import Primary
from services.kit.ids import uuid7
from services.products import endings
from tests.integration.services.orders_process import orders_process
from tests.integration.services.service_process import free_port, wait_until
from tests.integration.services.shop import Shop
from tests.integration.services.test_order_sagas import status


def swept(shop: Shop, service: str, lot: Callable[[Primary], Awaitable[int]]) -> int:
    """Rows that one sweep removed."""

    async def run() -> int:
        async with Primary(shop.env[f"{service.upper()}_DSN"], "test") as primary:
            return sum([removed async for removed in lots(primary, lot)])

    return asyncio.run(run())


async def lots(primary: Primary, lot: Callable[[Primary], Awaitable[int]]) -> Any:
    while removed := await lot(primary):
        yield removed


def there(shop: Shop, service: str, query: LiteralString, values: list[Any]) -> set[Any]:
    return {row[0] for row in shop.sql(service, query, values)}


def test_a_key_whose_effect_is_under_way_outlives_settled_ones(shop: Shop) -> None:
    names = {age: f"{age}-{uuid4()}" for age in ("settled", "claimed", "forgotten")}
    insert: LiteralString = """INSERT INTO service.idempotency (principal, key, fingerprint, created_at)
        VALUES ('test', %s, '', now() - %s) RETURNING key"""
    shop.sql("users", insert, [names["settled"], timedelta(hours=25)])
    shop.sql("users", insert, [names["claimed"], timedelta(hours=25)])
    shop.sql("users", insert, [names["forgotten"], timedelta(days=31)])

    shop.sql("users", "UPDATE service.idempotency SET status = 200 WHERE key = %s RETURNING key", [names["settled"]])
    assert swept(shop, "users", idempotency.sweep) >= 2
    query: LiteralString = "SELECT key FROM service.idempotency WHERE key = ANY(%s)"
    assert there(shop, "users", query, [list(names.values())]) == {names["claimed"]}


def test_old_events_are_forgotten_and_a_row_that_another_holds_is_passed_over(shop: Shop) -> None:
    consumer, old, held, young = f"test-{uuid4()}", uuid7(), uuid7(), uuid7()
    insert: LiteralString = """INSERT INTO service.inbox (consumer, event_id, received_at)
        VALUES (%s, %s, now() - %s) RETURNING event_id"""
    for event, age in ((old, 15), (held, 15), (young, 13)):
        shop.sql("products", insert, [consumer, event, timedelta(days=age)])
    query: LiteralString = "SELECT event_id FROM service.inbox WHERE consumer = %s"
    with psycopg.connect(shop.env["PRODUCTS_DSN"]) as other:
        other.execute("SELECT 1 FROM service.inbox WHERE event_id = %s FOR UPDATE", [held])
        assert swept(shop, "products", lambda primary: inbox.sweep(primary, timedelta(days=14))) >= 1
        assert there(shop, "products", query, [consumer]) == {held, young}


def test_old_tombstones_go_and_holds_of_pieces_stay(shop: Shop, product: dict[str, Any]) -> None:
    tombstone, young, released = (str(uuid4()) for _ in range(3))
    lines = [{"product_id": product["id"], "quantity": 1}]
    shop.ask("products", "POST", "/reservations", 201, {"order_id": released, "lines": lines})
    for order in (tombstone, young, released):
        shop.ask("products", "POST", f"/reservations/{order}/release", 204)
    shop.sql(
        "products",
        "UPDATE service.holds SET created_at = now() - interval '31 days' WHERE order_id = ANY(%s) RETURNING order_id",
        [[tombstone, released]],
    )
    assert swept(shop, "products", lambda primary: endings.sweep_tombstones(primary, timedelta(days=30))) >= 1
    query: LiteralString = "SELECT order_id::text FROM service.holds WHERE order_id = ANY(%s)"
    assert there(shop, "products", query, [[tombstone, young, released]]) == {young, released}


def test_a_saga_that_ended_is_forgotten_and_one_that_is_open_is_not(
    shop: Shop, user: str, product: dict[str, Any]
) -> None:
    away = f"smtp://127.0.0.1:{free_port()}"  # the mail of a confirmed order waits for ever, so its saga stays open

    def state(order: str) -> str:
        answer = shop.call("orders", "GET", f"/sagas/{order}", url=process.url)
        return str(answer.json()["state"]) if answer.status_code == 200 else str(answer.status_code)

    with orders_process(shop, SMTP_URL=away) as process:
        process.start()
        waiting = shop.order(user, {product["id"]: 1}, url=process.url).body["id"]
        ended = shop.order(user, {product["id"]: 1}, "tok_declined", url=process.url).body["order_id"]
        wait_until(lambda: state(ended) == "ended")
        process.end()
        process.start(ORDERS_SAGAS_KEPT_D="0.00000001")
        wait_until(lambda: state(ended) == "404")
        assert state(waiting) == "open"
        process.end()
        process.start(SMTP_URL=shop.env["SMTP_URL"])
        wait_until(lambda: state(waiting) == "ended")
    assert (status(shop, ended), status(shop, waiting)) == ("FAILED", "CONFIRMED")
