"""Orders over HTTP: placed, refused with everything undone, cancelled."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from tests.integration.services.shop import Shop


def test_an_order_is_confirmed_paid_and_sold(shop: Shop, user: str, product: dict[str, Any]) -> None:
    answer = shop.order(user, {product["id"]: 2})
    assert answer.status == 201, answer.body
    order = answer.body
    assert (order["status"], order["currency"], order["failure"]) == ("CONFIRMED", "EUR", None)
    sums = [order[name] for name in ("subtotal", "discount", "tax", "shipping", "total")]
    assert sums == ["25.00", "0.00", "0.00", "4.90", "29.90"]
    assert order["items"] == [
        {
            "line": 1,
            "product_id": product["id"],
            "sku": product["sku"],
            "product_name": product["name"],
            "quantity": 2,
            "unit_price": "12.50",
            "line_total": "25.00",
        }
    ]
    assert shop.ask("orders", "GET", f"/orders/{order['id']}", 200) == order
    assert shop.stock(product["id"]) == (8, 0, 2)
    payment = shop.payment(order["id"])
    assert payment is not None
    assert (payment["status"], payment["amount"]) == ("CAPTURED", "29.90")


def test_a_product_named_twice_is_one_line(shop: Shop, user: str, product: dict[str, Any]) -> None:
    line = {"product_id": product["id"], "quantity": 2}
    body = {"user_id": user, "items": [line, line], "payment": {"method": "card", "token": "tok_ok"}}
    order = shop.ask("orders", "POST", "/orders", 201, body)
    assert [item["quantity"] for item in order["items"]] == [4]
    assert order["shipping"] == "0.00"


def test_a_declined_order_holds_nothing(shop: Shop, user: str, product: dict[str, Any]) -> None:
    answer = shop.order(user, {product["id"]: 2}, "tok_declined")
    assert (answer.status, answer.body["type"]) == (402, "urn:millrace:problem:payment-declined")
    order = shop.ask("orders", "GET", f"/orders/{answer.body['order_id']}", 200)
    assert order["status"] == "FAILED"
    assert "declined" in order["failure"]
    assert shop.stock(product["id"]) == (10, 0, 0)
    shop.ask("orders", "POST", f"/orders/{order['id']}/cancel", 409)


def test_an_order_beyond_the_stock_holds_nothing(shop: Shop, user: str, category: dict[str, Any]) -> None:
    plenty, scarce = shop.product(category["id"]), shop.product(category["id"], stock=1)
    answer = shop.order(user, {plenty["id"]: 1, scarce["id"]: 2})
    assert (answer.status, answer.body["type"]) == (409, "urn:millrace:problem:insufficient-stock")
    assert [short["sku"] for short in answer.body["products"]] == [scarce["sku"]]
    order_id = answer.body["order_id"]
    assert shop.ask("orders", "GET", f"/orders/{order_id}", 200)["status"] == "FAILED"
    assert shop.payment(order_id) is None
    assert [shop.stock(product["id"]) for product in (plenty, scarce)] == [(10, 0, 0), (1, 0, 0)]


def test_unknown_users_and_products_leave_no_trace(shop: Shop, user: str, product: dict[str, Any]) -> None:
    before = shop.written()
    nobody, nothing = str(uuid4()), str(uuid4())
    for answer, kind in (
        (shop.order(nobody, {product["id"]: 1}), "unknown-user"),
        (shop.order(user, {product["id"]: 1, nothing: 1}), "unknown-product"),
    ):
        assert (answer.status, answer.body["type"]) == (422, f"urn:millrace:problem:{kind}")
    assert shop.written() == before


def test_two_currencies_are_refused_and_released(shop: Shop, user: str, category: dict[str, Any]) -> None:
    euro = shop.product(category["id"])
    dollar = shop.product(category["id"])
    shop.ask("products", "PUT", f"/products/{dollar['id']}/price", 200, {"amount": "5.00", "currency": "USD"})
    answer = shop.order(user, {euro["id"]: 1, dollar["id"]: 1})
    assert answer.status == 422
    assert [shop.stock(product["id"]) for product in (euro, dollar)] == [(10, 0, 0)] * 2


def test_a_cancelled_order_is_restocked_and_refunded_once(shop: Shop, user: str, product: dict[str, Any]) -> None:
    order = shop.order(user, {product["id"]: 2}).body
    cancelled = shop.ask("orders", "POST", f"/orders/{order['id']}/cancel", 200)
    assert cancelled["status"] == "CANCELLED"
    assert shop.ask("orders", "POST", f"/orders/{order['id']}/cancel", 200) == cancelled
    assert shop.stock(product["id"]) == (10, 0, 0)
    payment = shop.payment(order["id"])
    assert payment is not None
    assert (payment["status"], payment["refunded"]) == ("REFUNDED", "29.90")


def test_cancelling_at_once_undoes_once(shop: Shop, user: str, product: dict[str, Any]) -> None:
    order = shop.order(user, {product["id"]: 3}).body
    with ThreadPoolExecutor(6) as pool:
        path = f"/orders/{order['id']}/cancel"
        statuses = set(pool.map(lambda _: shop.call("orders", "POST", path).status_code, range(6)))
    assert statuses == {200}
    assert shop.stock(product["id"]) == (10, 0, 0)
    [(refunds,)] = shop.sql(
        "payments",
        "SELECT count(*) FROM refunds JOIN payments ON payments.id = payment_id WHERE order_id = %s",
        [order["id"]],
    )
    assert refunds == 1


def test_orders_over_a_scarce_product_sell_exactly_what_is_there(shop: Shop, category: dict[str, Any]) -> None:
    scarce = shop.product(category["id"], stock=8)["id"]
    users = [shop.user() for _ in range(4)]
    tokens = ["tok_ok", "tok_ok", "tok_declined"]

    def place(number: int) -> int:
        return shop.order(users[number % 4], {scarce: 1}, tokens[number % 3]).status

    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(place, range(48)))
    assert set(statuses) <= {201, 402, 409}
    confirmed = statuses.count(201)
    assert shop.stock(scarce) == (8 - confirmed, 0, confirmed)
    [(rows,)] = shop.sql(
        "orders",
        "SELECT count(*) FROM orders JOIN order_items ON id = order_id WHERE product_id = %s AND status = 'CONFIRMED'",
        [scarce],
    )
    assert rows == confirmed


def test_a_users_orders_are_listed_in_pages(shop: Shop, category: dict[str, Any]) -> None:
    user, product = shop.user(), shop.product(category["id"])
    made = [shop.order(user, {product["id"]: 1}).body["id"] for _ in range(3)]
    seen: list[str] = []
    page: dict[str, Any] = {"next_cursor": ""}
    while page["next_cursor"] is not None:
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else ""
        page = shop.ask("orders", "GET", f"/orders?user_id={user}&limit=2{cursor}", 200)
        assert all(order["items"] for order in page["items"])
        seen += [order["id"] for order in page["items"]]
    # The list may come from a replica that is a moment behind, but never with a hole.
    assert seen == made[: len(seen)]
    stranger = shop.ask("orders", "GET", f"/orders?user_id={user}&limit=1", 200)["next_cursor"]
    if stranger:
        shop.ask("orders", "GET", f"/orders?user_id={shop.user()}&cursor={stranger}", 422)
