"""Whose orders are whose: customers have their own, the staff sees all, operators have the sagas."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from tests.integration.services.people import Person, eventually
from tests.integration.services.shop import Shop, new_order


def test_customers_place_read_list_and_cancel_their_own_orders_only(
    people: Callable[..., Person], product: dict[str, Any]
) -> None:
    ada, eve = people(), people()
    adas, eves = ada.token(), eve.token()
    placed = ada.call("POST", "/orders", token=adas, service="orders", json=new_order(ada.id, {product["id"]: 1}))
    assert (placed.status_code, placed.json()["user_id"]) == (201, ada.id)
    path = f"/orders/{placed.json()['id']}"
    for method, where, body in (
        ("GET", path, None),
        ("POST", f"{path}/cancel", None),
        ("GET", f"/orders?user_id={ada.id}", None),
        ("POST", "/orders", new_order(ada.id, {product["id"]: 1})),
    ):
        refused = eve.call(method, where, token=eves, service="orders", json=body)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:millrace:problem:forbidden"), where
    assert ada.call("GET", path, token=adas, service="orders").json() == placed.json()
    listed = eventually(lambda: ada.call("GET", "/orders", token=adas, service="orders").json()["items"] or None)
    assert [order["id"] for order in listed] == [placed.json()["id"]]
    assert eve.call("GET", "/orders", token=eves, service="orders").json()["items"] == []
    cancelled = ada.call("POST", f"{path}/cancel", token=adas, service="orders")
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "CANCELLED")


def test_support_reads_all_orders_and_changes_none(
    shop: Shop, people: Callable[..., Person], user: str, product: dict[str, Any]
) -> None:
    order = shop.order(user, {product["id"]: 1}).body
    helper = people("support")
    token = helper.token()
    assert helper.call("GET", f"/orders/{order['id']}", token=token, service="orders").json() == order
    assert helper.call("GET", f"/orders?user_id={user}", token=token, service="orders").status_code == 200
    assert helper.call("GET", f"/orders/{uuid4()}", token=token, service="orders").status_code == 404
    for path in (f"/orders/{order['id']}/cancel", f"/sagas/{order['id']}/cancel"):
        assert helper.call("POST", path, token=token, service="orders").status_code == 403
    assert shop.ask("orders", "GET", f"/orders/{order['id']}", 200)["status"] == "CONFIRMED"
