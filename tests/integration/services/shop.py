"""The shop as the tests use it: its HTTP surface, its databases, and makers of users, categories and products."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, LiteralString, Protocol, Self
from uuid import uuid4

import httpx
import psycopg

from services.kit.token_source import TokenSource

TABLES: dict[str, tuple[str, ...]] = {
    "users": ("users", "addresses"),
    "products": (
        "categories",
        "product_groups",
        "products",
        "prices",
        "price_changes",
        "stock",
        "stock_movements",
        "reservations",
    ),
    "orders": ("orders", "order_items"),
    "payments": ("payments", "refunds", "accounts", "transfers"),
}


class Stack(Protocol):
    @property
    def env(self) -> Mapping[str, str]: ...


def new_order(user_id: str, items: dict[str, int], token: str = "tok_ok") -> dict[str, Any]:
    """The body of `POST /orders`."""
    return {
        "user_id": user_id,
        "items": [{"product_id": product, "quantity": quantity} for product, quantity in items.items()],
        "payment": {"method": "card", "token": token},
    }


@dataclass(frozen=True)
class Answer:
    """A response whose status was checked: `body` is its JSON."""

    status: int
    body: Any


class Shop:
    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self._open = ExitStack()
        merchant = TokenSource(env["SESSIONS_URL"], "demo", env["DEMO_CLIENT_SECRET"])
        self.as_orders = TokenSource(env["SESSIONS_URL"], "orders", env["ORDERS_CLIENT_SECRET"])
        """The token of the orders service: it alone holds stock and takes money."""
        careless = {"Cache-Control": "no-cache", "If-Match": "*"}
        self._http = self._open.enter_context(
            httpx.Client(timeout=40, trust_env=False, auth=merchant, headers=careless)
        )
        self._databases = {
            name: self._open.enter_context(psycopg.connect(env[f"{name.upper()}_DSN"], autocommit=True))
            for name in TABLES
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def url(self, service: str) -> str:
        return self.env[f"{service.upper()}_URL"]

    def call(self, service: str, method: str, path: str, *, url: str | None = None, **request: Any) -> httpx.Response:
        """A request of the merchant; of the orders service, where nobody else is let in. `url` is another process.
        A POST has a key of its own, unless the headers name one."""
        if path.startswith("/reservations") or (service == "payments" and not path.endswith("/refunds")):
            request = {"auth": self.as_orders, **request}
        if method == "POST":
            request["headers"] = {"idempotency-key": uuid4().hex} | {
                name.lower(): value for name, value in request.get("headers", {}).items()
            }
        return self._http.request(method, (url or self.url(service)) + path, **request)

    def ask(self, service: str, method: str, path: str, expected: int, body: object = None, **headers: str) -> Any:
        """The JSON of an answer that must have the `expected` status. `if_match="*"` is the header If-Match."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        content: dict[str, Any] = {} if body is None else {"json": body}
        response = self.call(service, method, path, headers=given, **content)
        assert response.status_code == expected, response.text
        return response.json() if response.content else None

    def sql(self, service: str, query: LiteralString, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
        return self._databases[service].execute(query, values).fetchall()

    def written(self) -> dict[str, tuple[Any, ...]]:
        """Per table the number of rows and the newest writing transaction: the same if nothing was written."""
        return {
            f"{service}.{table}": self._databases[service]
            .execute(
                psycopg.sql.SQL("SELECT count(*), max(xmin::text::bigint) FROM {}").format(
                    psycopg.sql.Identifier(table)
                )
            )
            .fetchall()[0]
            for service, tables in TABLES.items()
            for table in tables
        }

    def user(self) -> str:
        body = {"email": f"{uuid4().hex}@example.org", "full_name": "Ada Example", "country": "DE"}
        return str(self.ask("users", "POST", "/users", 201, body)["id"])

    def category(self, name: str = "Kitchen", parent_id: str | None = None) -> dict[str, Any]:
        body = {"name": name, "slug": f"c-{uuid4().hex}", "parent_id": parent_id}
        made: dict[str, Any] = self.ask("products", "POST", "/categories", 201, body)
        return made

    def product(self, category_id: str, *, stock: int = 10, price: str = "12.50", **members: Any) -> dict[str, Any]:
        body = {
            "sku": uuid4().hex,
            "name": "Bread knife",
            "brand": "Millrace",
            "category_id": category_id,
            "price": {"amount": price},
            "stock": stock,
            **members,
        }
        made: dict[str, Any] = self.ask("products", "POST", "/products", 201, body)
        return made

    def stock(self, product_id: str) -> tuple[int, int, int]:
        """(available, reserved, sold)."""
        stock = self.ask("products", "GET", f"/products/{product_id}", 200)["stock"]
        return stock["available"], stock["reserved"], stock["sold"]

    def order(self, user_id: str, items: dict[str, int], token: str = "tok_ok", *, url: str | None = None) -> Answer:
        response = self.call("orders", "POST", "/orders", url=url, json=new_order(user_id, items, token))
        return Answer(response.status_code, response.json())

    def payment(self, order_id: str) -> dict[str, Any] | None:
        found: list[dict[str, Any]] = self.ask("payments", "GET", f"/payments?order_id={order_id}", 200)["items"]
        return found[0] if found else None
