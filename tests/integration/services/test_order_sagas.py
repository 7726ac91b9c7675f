"""Orders whose placing is interrupted: by a crash at each step, by partners that are away, by a cancellation."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx

from tests.integration.services import mails
from tests.integration.services.interception import Held, Point, Proxy
from tests.integration.services.orders_process import orders_process
from tests.integration.services.service_process import ServiceProcess, free_port, wait_until
from tests.integration.services.shop import Answer, Shop

FORWARD = [
    Point(method, path, done)
    for method, path in (
        ("POST", "/reservations"),
        ("POST", "/payments"),
        ("POST", "/commit"),
        ("POST", "/capture"),
    )
    for done in (False, True)
]
UNDO = [Point("POST", path, done) for path in ("/payments/void", "/release") for done in (False, True)]


def status(shop: Shop, order_id: str) -> str:
    found: str = shop.ask("orders", "GET", f"/orders/{order_id}", 200)["status"]
    return found


def placed(shop: Shop, user: str) -> str | None:
    found = shop.sql("orders", "SELECT id FROM orders WHERE user_id = %s", [user])
    return str(found[0][0]) if found else None


def test_sagas_killed_at_every_step_go_on_where_they_were(shop: Shop, category: dict[str, Any]) -> None:
    product = shop.product(category["id"], stock=100)
    held = Held([*UNDO])
    users = [shop.user() for _ in (*UNDO, *FORWARD)]
    with (
        Proxy(shop.url("products"), held) as products,
        Proxy(shop.url("payments"), held) as payments,
        orders_process(shop, PRODUCTS_URL=products.url, PAYMENTS_URL=payments.url, ORDERS_PATIENCE_S="120") as process,
        ThreadPoolExecutor(len(users)) as pool,
    ):
        process.start()

        def place(user: str, token: str) -> Answer | None:
            try:
                return shop.order(user, {product["id"]: 1}, token, url=process.url)
            except httpx.TransportError:
                return None

        asked = [pool.submit(place, user, "tok_declined") for user in users[: len(UNDO)]]
        held.wait_until_full()
        held.add(FORWARD)
        asked += [pool.submit(place, user, "tok_ok") for user in users[len(UNDO) :]]
        held.wait_until_full()
        process.kill()
        assert [one.result() for one in asked] == [None] * len(users)
        held.over.set()
        orders = [str(placed(shop, user)) for user in users]
        assert {status(shop, order) for order in orders} == {"PENDING"}
        process.start()
        wait_until(lambda: "PENDING" not in {status(shop, order) for order in orders})
        undone, confirmed = orders[: len(UNDO)], orders[len(UNDO) :]
        assert {status(shop, order) for order in confirmed} == {"CONFIRMED"}
        assert {status(shop, order) for order in undone} == {"FAILED"}
        assert shop.stock(product["id"]) == (100 - len(confirmed), 0, len(confirmed))
        for order in confirmed:
            assert_paid_once(shop, order)
            wait_until(lambda order=order: bool(mails.kept(shop, order)))  # type: ignore[misc]
        for order in undone:
            assert charges(shop, order) in ([], ["declined"])


def charges(shop: Shop, order_id: str) -> list[str]:
    """What the provider has charged for the order."""
    address = shop.env["PAYMENT_PROVIDER_URL"]
    found = httpx.get(f"{address}/charges", params={"reference": order_id}, trust_env=False).json()["items"]
    return [charge["status"] for charge in found]


def assert_paid_once(shop: Shop, order_id: str) -> None:
    order = shop.ask("orders", "GET", f"/orders/{order_id}", 200)
    payment = shop.payment(order_id)
    assert payment is not None
    assert (payment["status"], payment["amount"]) == ("CAPTURED", order["total"])
    assert charges(shop, order_id) == ["captured"]


def test_a_start_has_nothing_to_warn_of(shop: Shop) -> None:
    with orders_process(shop) as process:
        process.start()
        levels = {json.loads(line)["level"] for line in process.said().splitlines()}
    assert levels == {"info"}


def test_without_products_nothing_is_written(shop: Shop, user: str, product: dict[str, Any]) -> None:
    with orders_process(shop, PRODUCTS_URL=f"http://127.0.0.1:{free_port()}") as process:
        process.start()
        answer = shop.order(user, {product["id"]: 1}, url=process.url)
    assert (answer.status, answer.body["type"]) == (503, "urn:millrace:problem:service-unavailable")
    assert placed(shop, user) is None
    assert shop.stock(product["id"]) == (10, 0, 0)


def test_an_order_whose_undo_must_wait_is_answered_202_and_undone_later(
    shop: Shop, user: str, product: dict[str, Any]
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with orders_process(shop, PAYMENTS_URL=nobody, ORDERS_PATIENCE_S="0.5", ORDERS_ANSWER_S="2.5") as process:
        process.start()
        answer = shop.order(user, {product["id"]: 1}, url=process.url)
        # Whether money moved cannot be known without payments: the order stays open until that is certain.
        assert (answer.status, answer.body["status"]) == (202, "PENDING")
        order = answer.body["id"]
        [saga] = shop.call("orders", "GET", "/sagas", url=process.url).json()["items"]
        assert (saga["order_id"], saga["state"], saga["stuck"]) == (order, "open", False)
        detail = shop.call("orders", "GET", f"/sagas/{order}", url=process.url).json()
        assert [step["name"] for step in detail["steps"]] == ["place", "reserve", "authorise"]
        assert detail["steps"][2]["answer"]["slug"] == "service-unavailable"
        process.end()
        process.start(PAYMENTS_URL=shop.url("payments"))
        wait_until(lambda: status(shop, order) == "FAILED")
    assert shop.stock(product["id"]) == (10, 0, 0)
    assert charges(shop, order) == []


@contextmanager
def held_before_the_commit(
    shop: Shop, user: str, product: dict[str, Any]
) -> Iterator[tuple[str, Future[Answer], Held, ServiceProcess]]:
    """An order of two pieces that goes no further than its authorised payment until `held.over` is set."""
    held = Held([Point("POST", "/commit", done=False)])
    with (
        Proxy(shop.url("products"), held) as products,
        orders_process(shop, PRODUCTS_URL=products.url) as process,
        ThreadPoolExecutor(1) as pool,
    ):
        process.start()
        placing = pool.submit(shop.order, user, {product["id"]: 2}, url=process.url)
        held.wait_until_full()
        yield str(placed(shop, user)), placing, held, process


def test_an_order_cancelled_before_its_capture_is_undone(shop: Shop, user: str, product: dict[str, Any]) -> None:
    with held_before_the_commit(shop, user, product) as (order, placing, held, process), ThreadPoolExecutor(1) as pool:
        cancelling = pool.submit(shop.call, "orders", "POST", f"/orders/{order}/cancel", url=process.url)
        requested = "SELECT 1 FROM service.order_events WHERE stream_id = %s AND type LIKE 'CancellationRequested%%'"
        wait_until(lambda: bool(shop.sql("orders", requested, [order])))
        held.over.set()
        answer = placing.result()
        assert (answer.status, answer.body["type"]) == (409, "urn:millrace:problem:order-cancelled")
        cancelled = cancelling.result()
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "CANCELLED")
    assert shop.stock(product["id"]) == (10, 0, 0)
    payment = shop.payment(order)
    assert payment is not None and payment["status"] in ("VOIDED", "REFUNDED")


def test_a_payment_authorised_after_the_hold_was_lost_is_voided(shop: Shop, user: str, product: dict[str, Any]) -> None:
    with held_before_the_commit(shop, user, product) as (order, placing, held, _):
        shop.ask("products", "POST", f"/reservations/{order}/release", 204)
        held.over.set()
        answer = placing.result()
    assert (answer.status, answer.body["type"]) == (409, "urn:millrace:problem:reservation-closed")
    assert status(shop, order) == "FAILED"
    payment = shop.payment(order)
    assert payment is not None and payment["status"] == "VOIDED"
    assert shop.stock(product["id"]) == (10, 0, 0)


def test_a_confirmed_order_is_confirmed_by_mail_with_its_lines_and_sums(
    shop: Shop, user: str, product: dict[str, Any]
) -> None:
    order = shop.order(user, {product["id"]: 2}).body
    wait_until(lambda: bool(mails.kept(shop, order["id"])))
    [message] = mails.kept(shop, order["id"])
    assert message["Message-ID"].strip() == f"<{order['id']}.confirmation@millrace.example>"
    for part in ("plain", "html"):
        body = message.get_body((part,))
        assert body is not None
        content = body.get_content()
        assert all(text in content for text in ("Bread knife", "12.50 EUR", "25.00 EUR", "4.90 EUR", "29.90 EUR"))


def test_operators_see_the_steps_and_cannot_retry_what_has_ended(
    shop: Shop, user: str, product: dict[str, Any]
) -> None:
    order = shop.order(user, {product["id"]: 1}).body["id"]
    wait_until(lambda: shop.ask("orders", "GET", f"/sagas/{order}", 200)["state"] == "ended")
    saga = shop.ask("orders", "GET", f"/sagas/{order}", 200)
    assert [step["name"] for step in saga["steps"]] == [
        "place", "reserve", "authorise", "commit", "capture", "confirm", "settle", "notify",
    ]  # fmt: skip
    shop.ask("orders", "POST", f"/sagas/{order}/retry", 409)
    assert shop.ask("orders", "POST", f"/sagas/{order}/cancel", 200)["status"] == "CANCELLED"
    assert shop.ask("orders", "GET", f"/sagas/{order}:cancel", 200)["state"] == "ended"
    shop.ask("orders", "GET", f"/sagas/{order[:-1]}x", 422)
