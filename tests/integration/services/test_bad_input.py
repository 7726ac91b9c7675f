"""Bad input to every service: a 4xx problem document, and not one row written."""

import json
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.services.shop import Shop

Body = dict[str, Any]

USER: Body = {"email": "eve@example.org", "full_name": "Eve", "country": "DE"}
ADDRESS: Body = {"kind": "shipping", "line1": "1 Mill Lane", "postal_code": "1", "city": "Berlin", "country": "DE"}
PRODUCT: Body = {
    "sku": "bad-input",
    "name": "Knife",
    "brand": "B",
    "category_id": "{category}",
    "price": {"amount": "1.00"},
}
LINES = [{"product_id": "{product}", "quantity": 1}]
RESERVATION: Body = {"order_id": "{unknown}", "lines": LINES}
ORDER: Body = {"user_id": "{user}", "items": LINES, "payment": {"method": "card", "token": "tok_ok"}}
PAYMENT: Body = {"order_id": "{unknown}", "amount": "1.00", "currency": "EUR", "method": "card", "token": "tok_ok"}
REFUND: Body = {"amount": "1.00", "reason": "broken"}
ID_ROUTES: list[tuple[str, str, str, Body | None]] = [
    ("users", "GET", "/users/{}", None),
    ("users", "PATCH", "/users/{}", {"full_name": "Eve"}),
    ("users", "DELETE", "/users/{}", None),
    ("users", "GET", "/users/{}/addresses", None),
    ("users", "POST", "/users/{}/addresses", ADDRESS),
    ("products", "GET", "/products/{}", None),
    ("products", "PATCH", "/products/{}", {"name": "Knife"}),
    ("products", "DELETE", "/products/{}", None),
    ("products", "PUT", "/products/{}/price", {"amount": "1.00"}),
    ("products", "POST", "/products/{}/stock", {"delta": 1}),
    ("products", "POST", "/products/{}/stock-corrections", {"delta": -1, "reason": "broken"}),
    ("products", "PATCH", "/categories/{}", {"name": "Knives"}),
    ("products", "GET", "/groups/{}", None),
    ("products", "PATCH", "/groups/{}", {"name": "Knives"}),
    ("products", "GET", "/reservations/{}", None),
    ("products", "POST", "/reservations/{}/commit", None),
    ("orders", "GET", "/orders/{}", None),
    ("orders", "POST", "/orders/{}/cancel", None),
    ("payments", "GET", "/payments/{}", None),
    ("payments", "POST", "/payments/{}/refunds", REFUND),
    ("payments", "POST", "/payments/{}/capture", None),
]
CREATIONS: list[tuple[str, str, Body]] = [
    ("users", "/users", USER),
    ("users", "/users/{user}/addresses", ADDRESS),
    ("products", "/categories", {"name": "Knives", "slug": "bad-input"}),
    ("products", "/products", PRODUCT),
    ("products", "/products:import", {"products": [PRODUCT]}),
    ("products", "/products/{product}/stock", {"delta": 1}),
    ("products", "/products/{product}/stock-corrections", {"delta": -1, "reason": "broken"}),
    ("products", "/groups", {"name": "Knives", "varies_by": ["colour"]}),
    ("products", "/reservations", RESERVATION),
    ("orders", "/orders", ORDER),
    ("payments", "/payments", PAYMENT),
    ("payments", "/payments/void", {"order_id": "{unknown}", "reason": "none"}),
]


@dataclass(frozen=True)
class Case:
    service: str
    method: str
    path: str
    body: object = None
    content: bytes | None = None

    def __str__(self) -> str:
        return f"{self.service} {self.method} {self.path}"


def but(base: Body, **members: object) -> dict[str, Any]:
    return {**base, **members}


UNKNOWN_IDS = [Case(service, method, path.format("{unknown}"), body) for service, method, path, body in ID_ROUTES] + [
    Case("products", "POST", "/products", but(PRODUCT, category_id="{unknown}")),
    Case("products", "POST", "/products", but(PRODUCT, group_id="{unknown}")),
    Case("products", "PATCH", "/products/{product}", {"category_id": "{unknown}"}),
    Case("products", "PATCH", "/products/{product}", {"group_id": "{unknown}"}),
    Case("products", "POST", "/categories", {"name": "Knives", "slug": "bad-input", "parent_id": "{unknown}"}),
    Case("products", "PATCH", "/categories/{category}", {"parent_id": "{unknown}"}),
    Case("products", "POST", "/reservations", but(RESERVATION, lines=[{"product_id": "{unknown}", "quantity": 1}])),
    Case("orders", "POST", "/orders", but(ORDER, user_id="{unknown}")),
    Case("orders", "POST", "/orders", but(ORDER, items=[*LINES, {"product_id": "{unknown}", "quantity": 1}])),
]
NO_IDS = [Case(service, method, path.format("not-an-id"), body) for service, method, path, body in ID_ROUTES]
NOT_JSON = [
    Case(service, "POST", path, content=content)
    for service, path, _ in CREATIONS
    for content in (b"", b"{", b"\xff\xfe", b'"text"', b"[]", b"{}", b"null", b"NaN")
]
UNKNOWN_MEMBERS = [Case(service, "POST", path, but(body, surprise=1)) for service, path, body in CREATIONS]
PRODUCT_FAULTS: list[Body] = [
    {"sku": ""},
    {"sku": "x" * 65},
    {"name": "x" * 201},
    {"brand": "x" * 101},
    {"description": "x" * 10_001},
    {"description": "a\0b"},
    {"stock": -1},
    {"stock": 1.5},
    {"stock": 10**12},
    {"attributes": []},
    {"attributes": {"a": {"deep": 1}}},
    {"attributes": {"a": "\0"}},
    {"attributes": {"a": 10**30}},
    {"attributes": {"": 1}},
    {"attributes": {str(number): number for number in range(51)}},
    {"price": {"amount": "-0.01"}},
    {"price": {"amount": "0.001"}},
    {"price": {"amount": "NaN"}},
    {"price": {"amount": "Infinity"}},
    {"price": {"amount": "1e30"}},
    {"price": {"amount": "1.00", "currency": "EURO"}},
    {"price": {"amount": "1.00", "compare_at": "1.00"}},
    {"price": {"amount": "1.00", "compare_at": "-2.00"}},
    {"price": None},
    {"group_id": "x"},
]
ATTRIBUTE_SCHEMAS: list[object] = [
    [],
    {"": {"type": "text"}},
    {"a": {}},
    {"a": {"type": "colour"}},
    {"a": {"type": "choice"}},
    {"a": {"type": "choice", "choices": []}},
    {"a": {"type": "choice", "choices": ["b", "b"]}},
    {"a": {"type": "choice", "choices": ["\0"]}},
    {"a": {"type": "text", "choices": ["b"]}},
    {"a": {"type": "text", "surprise": 1}},
    {str(number): {"type": "text"} for number in range(51)},
]
OUT_OF_BOUNDS = [
    *(
        Case("users", "POST", "/users", but(USER, email=email))
        for email in ("", "no at", "a@b", "x" * 250 + "@b.de", 7)
    ),
    *(
        Case("users", "POST", "/users", but(USER, full_name=name))
        for name in ("", "  ", "x" * 201, "a\0b", None, "\ud800")
    ),
    *(Case("users", "POST", "/users", but(USER, country=country)) for country in ("", "D", "de", "DEU", "ÄÖ")),
    *(
        Case("users", "PATCH", "/users/{user}", body)
        for body in ({}, {"email": None}, {"full_name": "x" * 201}, {"id": "{unknown}"}, {"version": 1})
    ),
    *(
        Case("users", "POST", "/users/{user}/addresses", but(ADDRESS, **{name: value}))
        for name, value in (("kind", "home"), ("line1", "x" * 201), ("line2", "x" * 201), ("postal_code", "9" * 21))
    ),
    *(Case("products", "POST", "/products", but(PRODUCT, **member)) for member in PRODUCT_FAULTS),
    Case("products", "POST", "/products:import", {"products": []}),
    Case("products", "POST", "/products:import", {"products": [PRODUCT] * 501}),
    Case("products", "POST", "/products:import", {"products": [PRODUCT, but(PRODUCT, sku="")]}),
    *(Case("products", "POST", "/products/{product}/stock", {"delta": delta}) for delta in (0, -1, 1.5, "1", 10**12)),
    *(
        Case("products", "PUT", "/products/{product}/price", {"amount": amount})
        for amount in ("-1", "1.001", "x", None)
    ),
    *(Case("products", "PATCH", "/products/{product}", body) for body in ({}, {"name": None}, {"status": "sold"})),
    *(
        Case("products", "POST", "/categories", {"name": name, "slug": slug})
        for name, slug in (
            ("", "a"),
            ("x" * 101, "a"),
            ("A", ""),
            ("A", "A"),
            ("A", "a b"),
            ("A", "-a"),
            ("A", "a" * 101),
        )
    ),
    Case("products", "PATCH", "/categories/{category}", {"name": None}),
    *(
        Case("products", "POST", "/categories", {"name": "Knives", "slug": "bad-input", "attribute_schema": schema})
        for schema in ATTRIBUTE_SCHEMAS
    ),
    Case("products", "PATCH", "/categories/{category}", {"attribute_schema": None}),
    *(
        Case("products", "POST", "/groups", {"name": "Knives", "varies_by": names})
        for names in ([], ["a", "a"], [""], ["x" * 101], ["a\0"], ["a", "b", "c", "d"], "a", None)
    ),
    *(
        Case("products", "POST", "/products/{product}/stock-corrections", body)
        for body in (
            {"delta": 0, "reason": "none"},
            {"delta": -1},
            {"delta": -1, "reason": " "},
            {"delta": -1, "reason": "x" * 201},
            {"delta": -1.5, "reason": "half"},
            {"delta": -(10**7), "reason": "all"},
            {"delta": -1000, "reason": "more than there are"},
        )
    ),
    *(
        Case("products", "POST", "/reservations", but(RESERVATION, lines=lines))
        for lines in (
            [],
            LINES * 2,
            [{"product_id": "{product}", "quantity": 0}],
            [{"product_id": "{product}", "quantity": -1}],
            [{"product_id": "{product}", "quantity": 10**10}],
            [{"product_id": str(uuid4()), "quantity": 1} for _ in range(51)],
        )
    ),
    *(
        Case("orders", "POST", "/orders", but(ORDER, items=items))
        for items in (
            [],
            [{"product_id": "{product}", "quantity": 0}],
            [{"product_id": "{product}", "quantity": -3}],
            [{"product_id": "{product}", "quantity": 1.5}],
            [{"product_id": "{product}", "quantity": "1"}],
            [{"product_id": "{product}", "quantity": 1001}],
            [{"product_id": "{product}", "quantity": 1000}] * 2,
            LINES * 51,
        )
    ),
    *(
        Case("orders", "POST", "/orders", but(ORDER, payment=payment))
        for payment in (None, {}, {"method": "barter", "token": "a"}, {"method": "card", "token": "x" * 101})
    ),
    *(
        Case("payments", "POST", "/payments", but(PAYMENT, **member))
        for member in (
            {"amount": "0.00"},
            {"amount": "-1.00"},
            {"amount": "0.001"},
            {"amount": "99999999999.00"},
            {"currency": "eur"},
            {"currency": "XTS"},
            {"method": "barter"},
            {"token": ""},
        )
    ),
    *(
        Case("payments", "POST", "/payments/{payment}/refunds", but(REFUND, **member))
        for member in ({"amount": "0"}, {"amount": "-1"}, {"amount": "0.001"}, {"reason": "x" * 201}, {"reason": ""})
    ),
    *(
        Case(service, "GET", f"/{service}?{query}")
        for service in ("users", "products", "orders")
        for query in ("limit=0", "limit=-1", "limit=501", "limit=x", "cursor=x", "cursor=" + "A" * 300, "cursor=%00")
    ),
    *(
        Case("products", "GET", f"{path}?cursor=x")
        for path in ("/groups", "/products/{product}/stock-movements", "/products/{product}/price-changes")
    ),
    Case("products", "GET", "/products?category_id=x"),
    Case("products", "GET", "/products?id=x"),
    Case("orders", "GET", "/orders?user_id=x"),
    Case("payments", "GET", "/payments"),
    Case("payments", "GET", "/payments?order_id=x"),
]
OVERSIZED = [Case(service, "POST", path, content=b" " * 9_000_000) for service, path, _ in CREATIONS]


@pytest.fixture(scope="module")
def known(shop: Shop) -> dict[str, str]:
    """Ids that exist, for everything but the fault in question to be right."""
    category = shop.category()["id"]
    product = shop.product(category)["id"]
    user = shop.user()
    order = shop.order(user, {product: 1}).body
    payment = shop.payment(order["id"])
    assert payment is not None
    return {"user": user, "category": category, "product": product, "payment": payment["id"], "unknown": str(uuid4())}


def filled(value: Any, known: dict[str, str]) -> Any:
    """`value` with {names} replaced by ids, at any depth."""
    if isinstance(value, dict):
        return {name: filled(member, known) for name, member in value.items()}
    if isinstance(value, list):
        return [filled(member, known) for member in value]
    if isinstance(value, str) and value.startswith("{"):
        return known[value.strip("{}")]
    return value


@pytest.mark.parametrize(
    "cases",
    [UNKNOWN_IDS, NO_IDS, NOT_JSON, UNKNOWN_MEMBERS, OUT_OF_BOUNDS, OVERSIZED],
    ids=["unknown ids", "no ids", "not JSON", "unknown members", "out of bounds", "oversized"],
)
def test_bad_input_is_a_problem_and_writes_nothing(cases: list[Case], shop: Shop, known: dict[str, str]) -> None:
    before = shop.written()
    for case in cases:
        path = case.path.format(**known) if "{" in case.path else case.path
        request: dict[str, Any] = {"headers": {"content-type": "application/json", "if-match": "*"}}
        if case.content is not None:
            request["content"] = case.content
        elif case.body is not None:
            request["content"] = as_json(filled(case.body, known))
        response = shop.call(case.service, case.method, path, **request)
        assert 400 <= response.status_code < 500, (case, response.text)
        assert response.headers["content-type"] == "application/problem+json", case
        assert response.json()["status"] == response.status_code, case
        assert shop.written() == before, case


def as_json(body: object) -> bytes:
    """JSON in ASCII: it can hold what is no valid Unicode."""
    return json.dumps(body).encode("ascii")


def test_an_order_too_dear_for_the_database_is_refused_and_undone(shop: Shop, known: dict[str, str]) -> None:
    dear = {shop.product(known["category"], price="999999.99", stock=1000)["id"]: 1000 for _ in range(11)}
    answer = shop.order(known["user"], dear)
    assert answer.status == 422
    assert "order less" in answer.body["detail"]
    assert {shop.stock(product) for product in dear} == {(1000, 0, 0)}
    assert shop.payment(answer.body["order_id"]) is None
