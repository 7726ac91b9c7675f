"""Stock held for orders over HTTP: exactly what is there is sold, every command can be repeated, holds expire."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.services.service_process import service_process, wait_until
from tests.integration.services.shop import Shop


def wanted(order_id: str, **lines: int) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "lines": [{"product_id": product, "quantity": quantity} for product, quantity in lines.items()],
    }


def test_a_hot_product_never_oversells(shop: Shop, category: dict[str, Any]) -> None:
    pieces, clients, attempts = 100, 24, 400
    hot = shop.product(category["id"], stock=pieces)["id"]

    def reserve(_: int) -> int:
        return shop.call("products", "POST", "/reservations", json=wanted(str(uuid4()), **{hot: 1})).status_code

    with ThreadPoolExecutor(clients) as pool:
        statuses = Counter(pool.map(reserve, range(attempts)))
    assert statuses == {201: pieces, 409: attempts - pieces}
    assert shop.stock(hot) == (0, pieces, 0)
    held = shop.sql("products", "SELECT count(*), sum(quantity) FROM reservations WHERE product_id = %s", [hot])
    assert held == [(pieces, pieces)]


def test_orders_over_the_same_products_do_not_block_each_other_for_ever(shop: Shop, category: dict[str, Any]) -> None:
    ids = [shop.product(category["id"], stock=60)["id"] for _ in range(3)]

    def one(number: int) -> Counter[int]:
        order_id = str(uuid4())
        # Each order names the products in another order and ends in another way.
        turned = ids[number % 3 :] + ids[: number % 3]
        reserved = shop.call("products", "POST", "/reservations", json=wanted(order_id, **dict.fromkeys(turned, 1)))
        ending = "commit" if number % 2 else "release"
        ended = shop.call("products", "POST", f"/reservations/{order_id}/{ending}")
        return Counter([reserved.status_code, ended.status_code])

    with ThreadPoolExecutor(12) as pool:
        statuses = sum(pool.map(one, range(60)), Counter())
    assert statuses == {201: 60, 204: 60}
    assert [shop.stock(product) for product in ids] == [(30, 0, 30)] * 3


def test_all_lines_are_held_or_none(shop: Shop, category: dict[str, Any]) -> None:
    plenty, scarce = shop.product(category["id"], stock=5), shop.product(category["id"], stock=1)
    before = shop.written()
    body = wanted(str(uuid4()), **{plenty["id"]: 2, scarce["id"]: 2})
    refusal = shop.ask("products", "POST", "/reservations", 409, body)
    assert refusal["type"] == "urn:millrace:problem:insufficient-stock"
    assert refusal["products"] == [{"product_id": scarce["id"], "sku": scarce["sku"], "requested": 2, "available": 1}]
    assert shop.written() == before


def test_a_repeated_reservation_gets_the_same_answer(shop: Shop, product: dict[str, Any]) -> None:
    body = wanted(str(uuid4()), **{product["id"]: 3})
    first = shop.ask("products", "POST", "/reservations", 201, body)
    shop.ask("products", "PUT", f"/products/{product['id']}/price", 200, {"amount": "99.00"})
    assert shop.ask("products", "POST", "/reservations", 201, body) == first
    assert first["lines"][0]["unit_price"] == "12.50"
    assert shop.stock(product["id"]) == (7, 3, 0)
    other = wanted(body["order_id"], **{product["id"]: 4})
    shop.ask("products", "POST", "/reservations", 409, other)


def test_the_same_reservation_sent_at_once_holds_once(shop: Shop, product: dict[str, Any]) -> None:
    body = wanted(str(uuid4()), **{product["id"]: 2})
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: shop.call("products", "POST", "/reservations", json=body), range(16)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert shop.stock(product["id"]) == (8, 2, 0)


@pytest.mark.parametrize(
    ("commands", "stock"),
    [
        (["commit", "commit"], (7, 0, 3)),
        (["release", "release"], (10, 0, 0)),
        (["commit", "release", "release"], (10, 0, 0)),
    ],
)
def test_commands_can_be_repeated(
    commands: list[str], stock: tuple[int, int, int], shop: Shop, product: dict[str, Any]
) -> None:
    order_id = str(uuid4())
    body = wanted(order_id, **{product["id"]: 3})
    shop.ask("products", "POST", "/reservations", 201, body)
    for command in commands:
        shop.ask("products", "POST", f"/reservations/{order_id}/{command}", 204)
    assert shop.stock(product["id"]) == stock
    if "release" in commands:
        shop.ask("products", "POST", "/reservations", 409, body)


@pytest.mark.parametrize("reserved", [True, False])
def test_what_was_released_is_neither_committed_nor_reserved_again(
    reserved: bool, shop: Shop, product: dict[str, Any]
) -> None:
    """A release that overtakes its reserve counts too: the late reserve is refused."""
    body = wanted(str(uuid4()), **{product["id"]: 3})
    path = f"/reservations/{body['order_id']}"
    if reserved:
        shop.ask("products", "POST", "/reservations", 201, body)
    for _ in range(2):
        shop.ask("products", "POST", f"{path}/release", 204)
    before = shop.written()
    for again in (("/reservations", body), (f"{path}/commit", None)):
        refusal = shop.ask("products", "POST", again[0], 409, again[1])
        assert refusal["type"] == "urn:millrace:problem:reservation-closed"
    assert shop.written() == before
    assert shop.ask("products", "GET", path, 200)["state"] == "released"
    assert shop.stock(product["id"]) == (10, 0, 0)


def test_a_reservation_tells_its_state_and_when_it_ends(shop: Shop, product: dict[str, Any]) -> None:
    body = wanted(str(uuid4()), **{product["id"]: 3})
    path = f"/reservations/{body['order_id']}"
    made = shop.ask("products", "POST", "/reservations", 201, body)
    [(minutes,)] = shop.sql(
        "products",
        "SELECT extract(epoch FROM %s::timestamptz - created_at) / 60 FROM service.holds WHERE order_id = %s",
        [made["expires_at"], made["order_id"]],
    )
    assert minutes == 15
    assert shop.ask("products", "GET", path, 200) == {**made, "state": "held"}
    shop.ask("products", "POST", f"{path}/commit", 204)
    assert shop.ask("products", "GET", path, 200) == {**made, "state": "committed"}


def test_what_was_never_reserved_is_neither_there_nor_committed(shop: Shop) -> None:
    path = f"/reservations/{uuid4()}"
    before = shop.written()
    shop.ask("products", "GET", path, 404)
    refusal = shop.ask("products", "POST", f"{path}/commit", 409)
    assert refusal["type"] == "urn:millrace:problem:reservation-closed"
    assert shop.written() == before


def test_a_running_service_gives_back_what_nobody_commits(shop: Shop, product: dict[str, Any]) -> None:
    order_id = str(uuid4())
    with service_process("products", shop.env, RESERVATION_HOLD_S="0.3", RESERVATION_SWEEP_S="0.1") as process:
        process.start()
        held = shop.call(
            "products", "POST", "/reservations", url=process.url, json=wanted(order_id, **{product["id"]: 3})
        )
        assert held.status_code == 201
        wait_until(lambda: shop.ask("products", "GET", f"/reservations/{order_id}", 200)["state"] == "expired")
    assert shop.stock(product["id"]) == (10, 0, 0)
    page = shop.ask("products", "GET", f"/products/{product['id']}", 200)
    assert page["stock"] == {"available": 10, "reserved": 0, "sold": 0}
    kinds = shop.sql(
        "products", "SELECT kind, quantity FROM stock_movements WHERE order_id = %s ORDER BY id", [order_id]
    )
    assert kinds == [("reserved", 3), ("expired", 3)]


def test_the_hold_of_a_deleted_product_can_still_be_ended(shop: Shop, product: dict[str, Any]) -> None:
    order_id = str(uuid4())
    shop.ask("products", "POST", "/reservations", 201, wanted(order_id, **{product["id"]: 1}))
    shop.ask("products", "DELETE", f"/products/{product['id']}", 204)
    shop.ask("products", "POST", f"/reservations/{order_id}/release", 204)
    states = shop.sql("products", "SELECT state FROM reservations WHERE order_id = %s", [order_id])
    assert states == [("released",)]


def test_a_discontinued_product_is_not_sold(shop: Shop, product: dict[str, Any]) -> None:
    shop.ask("products", "PATCH", f"/products/{product['id']}", 200, {"status": "discontinued"})
    before = shop.written()
    refusal = shop.ask("products", "POST", "/reservations", 409, wanted(str(uuid4()), **{product["id"]: 1}))
    assert refusal["type"] == "urn:millrace:problem:not-sold"
    assert shop.written() == before
