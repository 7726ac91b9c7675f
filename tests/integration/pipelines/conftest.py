"""A shop with a few orders in the running stack, and a target database for marts that are not the shop's own."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import clickhouse_connect
import httpx
import pytest

from pipelines.lib.manifest import PROJECT


class Stack(Protocol):
    env: dict[str, str]


@dataclass
class Pipelines:
    """Commands of the code location, with the stack's addresses and a database of their own."""

    env: dict[str, str]

    def command(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=PROJECT.parent,
            env=os.environ | self.env | changed,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="session")
def orders_placed(stack: Stack) -> list[str]:
    """Ids of three orders placed over HTTP: confirmed, cancelled, declined."""
    tag = secrets.token_hex(4)
    with httpx.Client(timeout=30) as http:

        def post(service: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
            answer = http.post(stack.env[f"{service}_URL"] + path, json=body)
            assert answer.is_success or answer.status_code == httpx.codes.PAYMENT_REQUIRED, answer.text
            found: dict[str, Any] = answer.json()
            return found

        user = post("USERS", "/users", {"email": f"{tag}@example.org", "full_name": "Ada", "country": "DE"})
        category = post("PRODUCTS", "/categories", {"name": f"Knives {tag}", "slug": f"knives-{tag}"})
        product = post(
            "PRODUCTS",
            "/products",
            {
                "sku": f"SKU-{tag}",
                "name": "Bread knife",
                "brand": "Mora",
                "category_id": category["id"],
                "price": {"amount": "19.99"},
                "stock": 100,
            },
        )

        def order(token: str) -> str | None:
            line = {"product_id": product["id"], "quantity": 2}
            payment = {"method": "card", "token": token}
            placed = post("ORDERS", "/orders", {"user_id": user["id"], "items": [line], "payment": payment})
            return placed.get("id")

        kept, cancelled = order("tok_ok"), order("tok_ok")
        order("tok_declined")
        post("ORDERS", f"/orders/{cancelled}/cancel", {})
    return [str(kept), str(cancelled)]


@pytest.fixture(scope="module")
def pipelines(stack: Stack, orders_placed: list[str]) -> Iterator[Pipelines]:
    assert orders_placed
    database = f"test_{secrets.token_hex(4)}"
    yield Pipelines(stack.env | {"MILLRACE_ANALYTICS_DATABASE": database})
    with clickhouse(stack) as client:
        for layer in ("", "_staging", "_intermediate"):
            client.command(f"drop database if exists {database}{layer}")


def clickhouse(stack: Stack) -> Any:
    address = urlsplit(stack.env["CLICKHOUSE_URL"])
    password = stack.env["CLICKHOUSE_CDC_PASSWORD"]
    return clickhouse_connect.get_client(
        host=address.hostname or "", port=address.port or 0, username="cdc", password=password
    )
