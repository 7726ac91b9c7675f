"""What each service tells others, as it stands in its database's log: once for each change, and never for none."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from tests.integration.services.log_messages import told_by
from tests.integration.services.people import PASSWORD, Person, mailed_code
from tests.integration.services.shop import Shop
from tests.integration.services.test_payments_service import authorise, capture, key, request, void
from tests.integration.services.test_reservations import wanted


def names(told: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [kind for kind, _ in told]


def test_users_tell_what_happened_to_an_account_and_no_value_of_it(shop: Shop, people: Callable[..., Person]) -> None:
    with told_by(shop, "users") as users:
        person = people()
        path = f"/users/{person.id}"
        code = mailed_code(shop, person.email, "Confirm your e-mail address")
        shop.ask("users", "POST", "/email-verifications", 204, {"code": code})
        shop.ask("users", "POST", "/email-verifications", 409, {"code": code})
        shop.ask("users", "PATCH", path, 200, {"full_name": "Zuleika Overton", "country": "FR"})
        shop.ask("users", "PATCH", path, 412, {"full_name": "Nobody"}, if_match='"1"')
        new = {"current_password": PASSWORD, "new_password": "another long password"}
        assert person.call("PUT", f"{path}/password", token=person.token(), json=new).status_code == 204
        admin = people("admin")
        for _ in range(2):  # the same roles again are no change
            changed = admin.call("PUT", f"{path}/roles", token=admin.token(), json={"roles": ["customer", "support"]})
            assert changed.status_code == 200, changed.text
        assert admin.call("DELETE", path, token=admin.token()).status_code == 204
        messages = users.all()
    of_person = {"user_id": person.id}
    assert [(each["type"], each["data"]) for each in messages if each["key"] == person.id] == [
        ("UserRegistered.v1", of_person),
        ("EmailConfirmed.v1", of_person),
        ("ProfileChanged.v1", of_person | {"members": ["country", "full_name"]}),
        ("PasswordChanged.v1", of_person),
        ("RolesChanged.v1", of_person | {"before": ["customer"], "after": ["customer", "support"]}),
        ("UserErased.v1", of_person),
    ]
    assert not any(personal in str(messages) for personal in (person.email, "Zuleika", "Overton", 'password"'))


def test_products_tell_what_is_sold_for_how_much_and_what_came_in(shop: Shop, category: dict[str, Any]) -> None:
    with told_by(shop, "products") as products:
        made = shop.product(category["id"], stock=7)
        path, product = f"/products/{made['id']}", {"product_id": made["id"]}
        shop.ask("products", "PATCH", path, 200, {"name": "Butter knife", "brand": "Mill"})
        price = {"amount": "13.5", "currency": "EUR"}
        for _ in range(2):  # the same price again is no change
            shop.ask("products", "PUT", f"{path}/price", 200, price)
        repeated = key()
        for _ in range(2):
            shop.ask("products", "POST", f"{path}/stock", 200, {"delta": 5}, idempotency_key=repeated)
        shop.ask("products", "POST", f"{path}/stock-corrections", 200, {"delta": -2, "reason": "broken"})
        shop.ask("products", "POST", f"{path}/stock-corrections", 409, {"delta": -99, "reason": "broken"})
        shop.ask("products", "DELETE", path, 204)
        shop.ask("products", "DELETE", path, 404)
        told = products.of(made["id"])
    added = {"sku": made["sku"], "category_id": category["id"], "group_id": None}
    assert told == [
        ("ProductAdded.v1", product | added | {"amount": "12.50", "currency": "EUR", "stock": 7}),
        ("ProductChanged.v1", product | {"members": ["brand", "name"]}),
        ("PriceChanged.v1", product | {"amount": "13.50", "currency": "EUR", "compare_at": None}),
        ("GoodsReceived.v1", product | {"quantity": 5}),
        ("StockCorrected.v1", product | {"quantity": -2}),
        ("ProductDeleted.v1", product),
    ]


def test_an_import_tells_of_each_product_and_a_refused_one_of_none(shop: Shop, category: dict[str, Any]) -> None:
    skus = [uuid4().hex for _ in range(3)]
    body = {"name": "Fork", "brand": "M", "category_id": category["id"], "price": {"amount": "1.00"}, "stock": 0}
    new = [body | {"sku": sku} for sku in skus]
    with told_by(shop, "products") as products:
        shop.ask("products", "POST", "/products:import", 409, {"products": [*new, new[0]]})
        shop.ask("products", "POST", "/products:import", 201, {"products": new})
        told = [message["data"].get("sku") for message in products.all()]
    assert [sku for sku in told if sku in skus] == skus


def test_reservations_tell_how_they_began_and_ended_once(shop: Shop, product: dict[str, Any]) -> None:
    kept, dropped, refused, nothing = (str(uuid4()) for _ in range(4))
    lines = [{"product_id": product["id"], "quantity": 2}]
    with told_by(shop, "products") as products:
        for order in (kept, dropped):
            for _ in range(2):  # the same again is the same hold
                shop.ask("products", "POST", "/reservations", 201, wanted(order, **{product["id"]: 2}))
        shop.ask("products", "POST", "/reservations", 409, wanted(refused, **{product["id"]: 999}))
        for _ in range(2):
            shop.ask("products", "POST", f"/reservations/{kept}/commit", 204)
        for order in (kept, dropped, nothing, nothing, dropped):
            shop.ask("products", "POST", f"/reservations/{order}/release", 204)
        told: dict[str, list[tuple[str, dict[str, Any]]]] = {kept: [], dropped: [], refused: [], nothing: []}
        for message in products.all():
            told.get(message["key"], []).append((message["type"], message["data"]))
    assert told[refused] == told[nothing] == []
    assert names(told[kept]) == ["ReservationHeld.v1", "ReservationCommitted.v1", "ReservationReleased.v1"]
    assert names(told[dropped]) == ["ReservationHeld.v1", "ReservationReleased.v1"]
    assert [data["lines"] for _, data in told[kept] + told[dropped]] == [lines] * 5
    assert [told[order][-1][1]["sold"] for order in (kept, dropped)] == [True, False]


def test_payments_tell_each_step_once_with_what_moved(shop: Shop) -> None:
    with told_by(shop, "payments") as payments:
        taken = authorise(shop, "20.00")
        for _ in range(2):
            capture(shop, taken["order_id"])
        path, part = f"/payments/{taken['id']}/refunds", {"amount": "5.00", "reason": "Ada Example wants it back"}
        repeated = key()
        for _ in range(2):
            shop.ask("payments", "POST", path, 201, part, idempotency_key=repeated)
        shop.ask("payments", "POST", path, 409, part | {"amount": "16.00"})
        for _ in range(2):
            void(shop, taken["order_id"])  # gives back the rest
        messages = payments.all()
    told = [(each["type"], each["data"]) for each in messages if each["key"] == taken["id"]]
    assert names(told) == [
        "PaymentAuthorised.v1",
        "PaymentCaptured.v1",
        "PaymentRefunded.v1",
        "PaymentRefunded.v1",
    ]
    assert [data["amount"] for _, data in told] == ["20.00", "20.00", "5.00", "15.00"]
    assert [data["refunded"] for _, data in told[2:]] == ["5.00", "20.00"]
    assert {(data["order_id"], data["currency"]) for _, data in told} == {(taken["order_id"], "EUR")}
    assert "Ada" not in str(messages)


def test_payments_tell_what_came_to_nothing(shop: Shop) -> None:
    declined = request(token="tok_declined")
    with told_by(shop, "payments") as payments:
        let_go = authorise(shop)
        for _ in range(2):
            void(shop, let_go["order_id"])
            shop.ask("payments", "POST", "/payments", 402, declined)
        void(shop, str(uuid4()))
        told = [(each["type"], each["data"]) for each in payments.all()]
    ours = [(kind, data) for kind, data in told if data["order_id"] in (let_go["order_id"], declined["order_id"])]
    assert names(ours) == ["PaymentAuthorised.v1", "PaymentVoided.v1", "PaymentDeclined.v1"]
    assert ours[2][1]["failure_code"]
