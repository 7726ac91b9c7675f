"""Every route of the strict services refuses whoever it does not name: walked from their OpenAPI documents.

Tokens are signed with the stack's own key, so that nothing but what is tested is wrong about them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.kit.openapi import document
from services.kit.principal import Role
from services.sessions.keys import Keys
from tests.integration.services.shop import Shop

STRICT = ["users", "sessions", "products", "orders", "payments", "search", "analytics"]
PEOPLE = ["customer", "support", "operator", "admin", "analyst"]


@dataclass(frozen=True)
class Route:
    service: str
    method: str
    path: str
    callers: tuple[str, ...]
    public: bool

    def __str__(self) -> str:
        return f"{self.service} {self.method} {self.path}"


def routes() -> Iterator[Route]:
    for service in STRICT:
        for path, operations in json.loads(document(service))["paths"].items():
            for method, operation in operations.items():
                callers = tuple(operation.get("x-callers", ()))
                public = not operation.get("security") or {} in operation["security"]
                yield Route(service, method.upper(), path, callers, public)


ALL = list(routes())
CLOSED = [route for route in ALL if not route.public]
UNDECLARED = {"/livez", "/readyz", "/.well-known/jwks.json"}


@pytest.fixture(scope="module")
def keys(shop: Shop) -> Keys:
    return Keys(Path(shop.env["SESSIONS_KEYS_FILE"]))


def status(shop: Shop, http: httpx.Client, route: Route, token: str | None) -> tuple[int, httpx.Response]:
    """The answer to a call about somebody else's things."""
    path = route.path
    while "{" in path:
        path = path.replace(path[path.index("{") : path.index("}") + 1], str(uuid4()), 1)
    request: dict[str, Any] = {"headers": {"authorization": f"Bearer {token}"} if token is not None else {}}
    if route.method in ("POST", "PUT", "PATCH"):
        request["json"] = {}
    answer = http.request(route.method, shop.url(route.service) + path, **request)
    return answer.status_code, answer


def test_every_route_is_declared_and_few_are_open() -> None:
    assert {route.path for route in ALL if not route.callers} == UNDECLARED
    assert {str(route) for route in ALL if route.public and route.callers} == {
        "users POST /users",
        "users POST /password-resets",
        "users POST /password-resets:confirm",
        "users POST /email-verifications",
        "sessions POST /sessions",
        "sessions POST /tokens",
        "search GET /search",
        "search GET /search/all",
        "search GET /suggest",
        "search POST /clicks",
        "analytics POST /events",
        "products GET /categories",
        "products GET /categories/{category_id}",
        "products GET /groups",
        "products GET /groups/{group_id}",
        "products GET /products",
        "products GET /products/{product_id}",
        "products GET /products/{product_id}/price-changes",
    }


@pytest.mark.parametrize("route", CLOSED, ids=str)
def test_a_closed_route_refuses_all_others(shop: Shop, keys: Keys, route: Route) -> None:
    stranger = str(uuid4())
    before = shop.written()
    with httpx.Client(timeout=20, trust_env=False) as http:
        expired = keys.sign(stranger, "user", [role.value for role in Role], lifetime_s=-60)
        for token in (None, "x", "ses_" + "x" * 43, expired, expired[:-4] + "AAAA"):
            refused, answer = status(shop, http, route, token)
            assert refused == 401, (token, answer.text)
            assert answer.headers["www-authenticate"].startswith("Bearer"), token
            assert answer.json()["status"] == 401, token
        sessions_only = route.callers == ("own session",)  # an access token opens no session: none is told from none
        for kind, roles in [*(("user", [role]) for role in PEOPLE), ("service", []), ("user", [])]:
            if set(roles) & set(route.callers):
                continue
            token = keys.sign(stranger, "service" if kind == "service" else "user", roles)
            refused, answer = status(shop, http, route, token)
            assert refused == (401 if sessions_only else 403), (kind, roles, answer.text)
        for role in Role:
            if role.value not in (*PEOPLE, *route.callers):
                token = keys.sign("anybody", "service", [role.value])
                refused, answer = status(shop, http, route, token)
                assert refused == (401 if sessions_only else 403), (role, answer.text)
    assert shop.written() == before


@pytest.mark.parametrize("route", [route for route in CLOSED if route.callers != ("own session",)], ids=str)
def test_a_closed_route_lets_those_in_whom_it_names(shop: Shop, keys: Keys, route: Route) -> None:
    with httpx.Client(timeout=20, trust_env=False) as http:
        for caller in route.callers:
            if caller.startswith("own:"):
                continue
            kind = "user" if caller in PEOPLE else "service"
            token = keys.sign(str(uuid4()), "user" if kind == "user" else "service", [caller])
            allowed, answer = status(shop, http, route, token)
            assert allowed not in (401, 403), (caller, answer.text)
