"""A service that asks who calls, while nobody can tell it: it starts, and works as far as the keys that it once had."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import httpx
import pytest

from tests.integration.services.interception import Held, Proxy
from tests.integration.services.service_process import free_port, service_process, wait_until
from tests.integration.services.shop import Shop

ASKS = {"products": ("GET", f"/reservations/{uuid4()}"), "payments": ("GET", f"/payments/{uuid4()}")}


@contextmanager
def served(shop: Shop, service: str, sessions_url: str) -> Iterator[httpx.Client]:
    """A process of the service beside the stack's, which asks for keys at `sessions_url`."""
    with (
        service_process(service, shop.env, SESSIONS_URL=sessions_url) as process,
        httpx.Client(base_url=process.url, timeout=30, trust_env=False) as http,
    ):
        process.begin()
        process.wait_until_answers("/livez")
        yield http


@pytest.mark.parametrize("service", ASKS)
def test_it_starts_without_sessions_and_says_what_is_missing(shop: Shop, service: str) -> None:
    with served(shop, service, f"http://127.0.0.1:{free_port()}") as http:
        ready = http.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["keys"]) == (503, "failed: Unavailable")
        method, path = ASKS[service]
        assert http.request(method, path, auth=shop.as_orders).status_code == 503
        assert http.request(method, path).status_code == 401
        if service == "products":
            assert http.get("/products?limit=1").status_code == 200


@pytest.mark.parametrize("service", ASKS)
def test_keys_that_were_had_are_enough(shop: Shop, service: str) -> None:
    sessions = Proxy(shop.url("sessions"), Held([]))
    with served(shop, service, sessions.url) as http:
        with sessions:
            wait_until(lambda: http.get("/readyz").status_code == 200, f"{service} is not ready")
        method, path = ASKS[service]
        assert http.request(method, path, auth=shop.as_orders).status_code == 404
        assert http.get("/readyz").status_code == 200
