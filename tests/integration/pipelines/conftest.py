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
import dagster as dg
import httpx
import pytest

from pipelines.lib.manifest import PROJECT
from services.kit.token_source import TokenSource
from tests.integration.dbt.conftest import own_warehouse
from tests.integration.dbt.warehouse import Warehouse
from tests.integration.pipelines.location import Location, settings


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


@pytest.fixture(scope="module")
def location(stack: Stack) -> Iterator[Location]:
    """The code location with the stack's addresses."""
    with settings(stack.env), dg.DagsterInstance.from_config(stack.env["DAGSTER_HOME"]) as instance:
        yield Location(instance)


@pytest.fixture(scope="module")
def warehouse(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """Raw tables and marts of the module's own, nothing built yet: the runs of the location build them."""
    with own_warehouse(stack, tmp_path_factory.mktemp("dbt")) as made:
        yield made


@pytest.fixture(scope="session")
def orders_placed(stack: Stack) -> list[str]:
    """Ids of three orders placed over HTTP: confirmed, cancelled, declined."""
    tag = secrets.token_hex(4)
    auth = TokenSource(stack.env["SESSIONS_URL"], "demo", stack.env["DEMO_CLIENT_SECRET"])
    with httpx.Client(timeout=30, auth=auth) as http:

        def post(service: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
            key = {"Idempotency-Key": secrets.token_hex(16)}
            answer = http.post(stack.env[f"{service}_URL"] + path, json=body, headers=key)
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


def clickhouse(stack: Stack, user: str = "dbt") -> Any:
    address = urlsplit(stack.env["CLICKHOUSE_URL"])
    password = stack.env[f"CLICKHOUSE_{user.upper()}_PASSWORD"]
    return clickhouse_connect.get_client(
        host=address.hostname or "", port=address.port or 0, username=user, password=password
    )
