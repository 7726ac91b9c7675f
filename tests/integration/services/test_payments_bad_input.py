"""Wrong money and wrong requests: refused by name, nothing written, and the provider not even asked."""

from typing import Any
from uuid import uuid4

import pytest

from tests.integration.services.shop import Shop

WRONG_AMOUNTS: list[Any] = [
    "-1.00", "0", "0.00", "0.001", "1.005", "1e-3", "99999999999.00", "1e30", "NaN", "Infinity", "-Infinity", "1,00",
    "€1", "", " ", "0x10", "1_0.00.0", None, True, [], {}, "9" * 10_000,
]  # fmt: skip
WRONG_CURRENCIES: list[Any] = ["eur", "EU", "EURO", "E1R", "ÄÖÜ", "", None, 978, "XTS", "ZZZ", "JPY"]
WRONG_MEMBERS: list[dict[str, Any]] = [
    {"order_id": "not-an-id"},
    {"order_id": None},
    {"method": "barter"},
    {"token": ""},
    {"token": "\0"},
    {"token": "x" * 101},
    {"captured": "5.00"},
    {"status": "CAPTURED"},
]


def payment(**members: Any) -> dict[str, Any]:
    base = {"order_id": str(uuid4()), "amount": "1.00", "currency": "EUR", "method": "card", "token": "tok_ok"}
    return {**base, **members}


def refused(shop: Shop, path: str, body: dict[str, Any], *statuses: int) -> None:
    answer = shop.call("payments", "POST", path, json=body, headers={"idempotency-key": uuid4().hex})
    assert answer.status_code in statuses, (body, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_wrong_payment_is_refused_and_leaves_no_trace(shop: Shop) -> None:
    before = shop.written()
    bodies = [
        *(payment(amount=amount) for amount in WRONG_AMOUNTS),
        *(payment(currency=currency) for currency in WRONG_CURRENCIES),
        *(payment(**members) for members in WRONG_MEMBERS),
    ]
    for body in bodies:
        refused(shop, "/payments", body, 422)
    assert shop.written() == before
    asked = {body["order_id"] for body in bodies}
    listed = shop.ask("payment_provider", "GET", "/charges?limit=500", 200)["items"]
    assert asked.isdisjoint(charge["reference"] for charge in listed)


def test_a_wrong_refund_is_refused_and_leaves_no_trace(shop: Shop) -> None:
    body = payment(amount="5.00")
    shop.ask("payments", "POST", "/payments", 201, body)
    taken = shop.ask("payments", "POST", f"/payments/{body['order_id']}/capture", 200)
    before = shop.written()
    for amount in WRONG_AMOUNTS:
        refused(shop, f"/payments/{taken['id']}/refunds", {"amount": amount, "reason": "broken"}, 422)
    for reason in ("", "x" * 201, "\0", None):
        refused(shop, f"/payments/{taken['id']}/refunds", {"amount": "1.00", "reason": reason}, 422)
    refused(shop, f"/payments/{taken['id']}/refunds", {"amount": "5.01", "reason": "greed"}, 409)
    assert shop.written() == before


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/faults", {"lost": 2}),
        ("PUT", "/faults", {"unheard": 1}),
        ("POST", "/charges", {"reference": "", "amount": "1.00", "currency": "EUR", "token": "t"}),
        ("POST", "/charges", {"reference": "r", "amount": "-1.00", "currency": "EUR", "token": "t"}),
        ("POST", "/charges/ch_unknown/capture", None),
        ("POST", "/charges/ch_unknown/void", None),
        ("POST", "/charges/ch_unknown/refunds", {"reference": "r", "amount": "1.00"}),
        ("GET", "/charges/ch_unknown", None),
        ("GET", "/charges?cursor=x", None),
        ("GET", "/charges?since=yesterday", None),
        ("GET", "/charges?limit=501", None),
    ],
)
def test_the_sandbox_refuses_what_makes_no_sense(shop: Shop, method: str, path: str, body: Any) -> None:
    answer = shop.call("payment_provider", method, path, **({} if body is None else {"json": body}))
    assert answer.status_code in (404, 422), answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_faults_can_be_set_and_ended(shop: Shop) -> None:
    try:
        shop.ask("payment_provider", "PUT", "/faults", 200, {"error": 1, "operations": ["authorise"]})
        shop.ask("payments", "POST", "/payments", 503, body := payment())
    finally:
        assert shop.ask("payment_provider", "PUT", "/faults", 200, {})["error"] == 0
    shop.ask("payments", "POST", "/payments", 201, body)
