"""Where a repetition would do a thing twice, a request without an Idempotency-Key is refused and writes nothing."""

import json
import re
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.kit.openapi import SERVICES
from services.kit.token_source import TokenSource
from tests.integration.services.shop import TABLES, Shop, new_order

ROUTES = [
    (service, path)
    for service in TABLES
    for path, operations in json.loads((SERVICES / service / "openapi.json").read_text(encoding="utf-8"))[
        "paths"
    ].items()
    for given in operations.get("post", {}).get("parameters", [])
    if given["name"] == "Idempotency-Key" and given["description"].startswith("required")
]


def post(shop: Shop, service: str, path: str, body: dict[str, Any]) -> httpx.Response:
    """A request of the merchant with no key."""
    merchant = TokenSource(shop.env["SESSIONS_URL"], "demo", shop.env["DEMO_CLIENT_SECRET"])
    return httpx.post(shop.url(service) + path, json=body, auth=merchant, timeout=30, trust_env=False)


@pytest.mark.parametrize(("service", "path"), ROUTES, ids=[f"{service}{path}" for service, path in ROUTES])
def test_it_is_refused(shop: Shop, service: str, path: str) -> None:
    before = shop.written()
    refusal = post(shop, service, re.sub(r"{\w+}", str(uuid4()), path), {})
    assert (refusal.status_code, refusal.json()["type"]) == (400, "urn:millrace:problem:idempotency-key-missing")
    assert shop.written() == before


def test_an_order_that_could_be_placed_is_refused_without_a_key(shop: Shop, user: str, product: dict[str, Any]) -> None:
    refusal = post(shop, "orders", "/orders", new_order(user, {product["id"]: 1}))
    assert (refusal.status_code, refusal.json()["type"]) == (400, "urn:millrace:problem:idempotency-key-missing")
    assert shop.stock(product["id"]) == (10, 0, 0)
    assert shop.sql("orders", "SELECT 1 FROM orders WHERE user_id = %s", [user]) == []
