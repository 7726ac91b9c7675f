"""Orders whose placing breaks half-way: the error reaches the caller; recovery leaves no hold and no money behind."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from services.kit.client import ServiceClient
from services.kit.db import Primary
from services.orders.partners import Partners
from services.orders.recovery import recover
from tests.integration.services.shop import Shop

StartOrders = Callable[..., tuple[str, "subprocess.Popen[bytes]"]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def start_orders(shop: Shop) -> Iterator[StartOrders]:
    """Starts an orders service beside the stack's, with other settings; gives its address and its process."""
    with ExitStack() as running:

        def start(**settings: str) -> tuple[str, "subprocess.Popen[bytes]"]:
            port = free_port()
            process = subprocess.Popen(
                [sys.executable, "-m", "services.orders"],
                env={**os.environ, **shop.env, **settings, "PORT": str(port)},
                stdout=subprocess.PIPE,
            )
            running.enter_context(process)
            running.callback(process.terminate)
            assert process.stdout is not None
            assert any(b"Uvicorn running" in line for line in process.stdout), "the orders service did not start"
            return f"http://127.0.0.1:{port}", process

        yield start


def run_recovery(shop: Shop) -> None:
    async def run() -> None:
        async with (
            Primary(shop.env["ORDERS_DSN"], "test") as primary,
            ServiceClient("users", shop.url("users")) as users,
            ServiceClient("products", shop.url("products")) as products,
            ServiceClient("payments", shop.url("payments")) as payments,
        ):
            assert await recover(primary, Partners(users, products, payments), abandoned_after_s=0.0) >= 1

    asyncio.run(run())


def test_without_products_nothing_is_written(
    shop: Shop, start_orders: StartOrders, user: str, product: dict[str, Any]
) -> None:
    url, _ = start_orders(PRODUCTS_URL=f"http://127.0.0.1:{free_port()}")
    before = shop.written()
    answer = shop.order(user, {product["id"]: 1}, url=url)
    assert (answer.status, answer.body["type"]) == (503, "urn:millrace:problem:service-unavailable")
    assert shop.written() == before


def test_without_payments_the_stock_is_released_and_recovery_fails_the_order(
    shop: Shop, start_orders: StartOrders, user: str, product: dict[str, Any]
) -> None:
    url, _ = start_orders(PAYMENTS_URL=f"http://127.0.0.1:{free_port()}")
    answer = shop.order(user, {product["id"]: 1}, url=url)
    assert (answer.status, answer.body["type"]) == (503, "urn:millrace:problem:service-unavailable")
    order_id = answer.body["order_id"]
    assert shop.stock(product["id"]) == (10, 0, 0)
    # Whether money moved cannot be known without payments: the order stays open until that is certain.
    assert shop.ask("orders", "GET", f"/orders/{order_id}", 200)["status"] == "PENDING"
    shop.ask("orders", "POST", f"/orders/{order_id}/cancel", 409)
    run_recovery(shop)
    assert shop.ask("orders", "GET", f"/orders/{order_id}", 200)["status"] == "FAILED"


def test_an_order_whose_process_was_killed_is_undone(
    shop: Shop, start_orders: StartOrders, user: str, product: dict[str, Any]
) -> None:
    url, process = start_orders()
    with ThreadPoolExecutor(1) as pool:
        placing = pool.submit(shop.order, user, {product["id"]: 2}, "tok_lost", url=url)
        payment = None
        while payment is None:
            assert not placing.done(), "the order ended before it could be interrupted"
            found = shop.sql("orders", "SELECT id FROM orders WHERE user_id = %s", [user])
            payment = shop.payment(str(found[0][0])) if found else None
        process.send_signal(signal.SIGKILL)
        with pytest.raises(httpx.RemoteProtocolError):
            placing.result()
    assert shop.stock(product["id"]) == (8, 2, 0)
    run_recovery(shop)
    order_id = payment["order_id"]
    order = shop.ask("orders", "GET", f"/orders/{order_id}", 200)
    assert (order["status"], order["failure"]) == ("FAILED", "abandoned: placing it was interrupted")
    assert shop.stock(product["id"]) == (10, 0, 0)
    settled = shop.payment(order_id)
    assert settled is not None
    assert settled["status"] in ("DECLINED", "REFUNDED")
    assert settled["refunded"] == (settled["amount"] if settled["status"] == "REFUNDED" else "0.00")
