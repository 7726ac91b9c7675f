"""`POST /orders` with an Idempotency-Key: one order and one reply for each key, also when its saga outlives the request."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.services.interception import Held, Point, Proxy
from tests.integration.services.orders_process import orders_process
from tests.integration.services.service_process import free_port, wait_until
from tests.integration.services.shop import Shop, new_order
from tests.integration.services.test_order_sagas import assert_paid_once, placed, status


@pytest.fixture
def key() -> str:
    return str(uuid4())


def post(shop: Shop, key: str, body: dict[str, Any], url: str | None = None) -> httpx.Response:
    return shop.call("orders", "POST", "/orders", url=url, json=body, headers={"Idempotency-Key": key})


def kind(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def orders(shop: Shop, user: str) -> int:
    count: int = shop.sql("orders", "SELECT count(*) FROM orders WHERE user_id = %s", [user])[0][0]
    return count


@pytest.mark.parametrize(("token", "expected"), [("tok_ok", 201), ("tok_declined", 402)])
def test_a_repetition_gets_the_same_bytes_and_places_nothing(
    shop: Shop, user: str, product: dict[str, Any], key: str, token: str, expected: int
) -> None:
    body = new_order(user, {product["id"]: 2}, token)
    first, again = post(shop, key, body), post(shop, key, body)
    assert (first.status_code, again.status_code) == (expected, expected), first.text
    assert (first.content, first.headers["content-type"]) == (again.content, again.headers["content-type"])
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    assert orders(shop, user) == 1
    assert kind(post(shop, key, new_order(user, {product["id"]: 1}, token))) == (422, "idempotency-key-reused")


def test_of_many_at_once_one_places_the_order(shop: Shop, user: str, product: dict[str, Any], key: str) -> None:
    body = new_order(user, {product["id"]: 1})
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: post(shop, key, body), range(6)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.json()["type"] for answer in answers if answer.status_code == 409} <= {
        "urn:millrace:problem:request-in-flight"
    }
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert orders(shop, user) == 1
    assert shop.stock(product["id"]) == (9, 0, 1)
    assert post(shop, key, body).headers["idempotency-replayed"] == "true"


def test_what_left_no_trace_is_tried_afresh(shop: Shop, user: str, product: dict[str, Any], key: str) -> None:
    body = new_order(user, {product["id"]: 1, str(uuid4()): 1})
    for _ in range(2):
        assert kind(post(shop, key, body)) == (422, "unknown-product")
    assert shop.sql("orders", "SELECT 1 FROM service.idempotency WHERE key = %s", [key]) == []


def test_keys_belong_to_their_caller(shop: Shop, user: str, product: dict[str, Any], key: str) -> None:
    assert post(shop, key, new_order(user, {product["id"]: 1})).status_code == 201
    rows = shop.sql("orders", "SELECT principal FROM service.idempotency WHERE key = %s", [key])
    assert rows == [("demo",)]


def test_an_order_that_payments_could_not_answer_gives_its_key_back(
    shop: Shop, user: str, product: dict[str, Any], key: str
) -> None:
    body, nobody = new_order(user, {product["id"]: 1}), f"http://127.0.0.1:{free_port()}"
    with orders_process(shop, PAYMENTS_URL=nobody, ORDERS_PATIENCE_S="0.5", ORDERS_ANSWER_S="1.5") as process:
        process.start()
        assert post(shop, key, body, process.url).status_code == 202
        assert kind(post(shop, key, body, process.url)) == (409, "request-in-flight")
        order = str(placed(shop, user))
        process.end()
        process.start(PAYMENTS_URL=shop.url("payments"), ORDERS_PATIENCE_S="20", ORDERS_ANSWER_S="30")
        wait_until(lambda: status(shop, order) == "FAILED")
        wait_until(lambda: post(shop, key, body, process.url).status_code == 201)
    assert orders(shop, user) == 2


def test_a_saga_killed_at_its_capture_waits_for_its_token_and_stores_the_reply(
    shop: Shop, user: str, product: dict[str, Any], key: str
) -> None:
    """That orders gets no token is not taken for a refusal of the money, which would undo what is paid."""
    body, held = new_order(user, {product["id"]: 1}), Held([Point("POST", "/capture", done=True)])
    with (
        Proxy(shop.url("payments"), held) as payments,
        orders_process(shop, PAYMENTS_URL=payments.url) as process,
        ThreadPoolExecutor(1) as pool,
    ):
        process.start()
        placing = pool.submit(post, shop, key, body, process.url)
        held.wait_until_full()
        process.kill()
        assert isinstance(placing.exception(), httpx.TransportError)
        held.over.set()
        order = str(placed(shop, user))
        process.begin(ORDERS_CLIENT_SECRET="wrong")
        process.wait_until_said("capture is tried again")
        assert status(shop, order) == "PENDING"
        assert kind(post(shop, key, body)) == (409, "request-in-flight")
        process.end()
        process.start(PAYMENTS_URL=shop.url("payments"))
        wait_until(lambda: post(shop, key, body).status_code == 201)
    reply = post(shop, key, body)
    assert (reply.json()["id"], reply.json()["status"]) == (order, "CONFIRMED")
    assert reply.headers["idempotency-replayed"] == "true"
    assert_paid_once(shop, order)
    assert orders(shop, user) == 1
