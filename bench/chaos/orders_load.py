"""Customers who place orders while everything is being killed, each until it has an answer that says how its order ended.

A request whose connection broke, or that a failing server answered, is made again under the same Idempotency-Key, after a
look at what the customer's orders are by now.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from bench.chaos.orders_plan import CANCELLED, Wish
from services.kit.token_source import TokenSource

CUSTOMERS = 40
"""Orders that are under way at a time."""

_PATIENCE = 300.0
_AGAIN = 0.2
_LOOK = 0.03
_STOCK = 100_000
_SCARCE = 0.55
"""Pieces of the one scarce product for each order: some customers find it sold out."""


class NoAnswer(Exception):
    """A customer was never told how its order ended."""


@dataclass(frozen=True)
class Shop:
    """What the customers need: an id for each of them, and the products with their pieces."""

    users: list[str]
    products: list[str]
    pieces: dict[str, int]


@dataclass
class Told:
    """What a customer was told: the last status of the answer, the order's id, and its status once it had ended."""

    wish: Wish
    user: str
    answer: int = 0
    order_id: str | None = None
    status: str | None = None


@dataclass
class Load:
    """The customers; `answered` is read by whoever kills processes meanwhile."""

    env: Mapping[str, str]
    told: list[Told] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    """Every answer to POST /orders by its status, and broken connections."""
    answered: int = 0
    may_start: float = math.inf
    """How many customers may have begun: whoever kills processes holds the others back until it is ready for them."""
    over: bool = False

    async def prepare(self, wishes: Sequence[Wish], products: int) -> Shop:
        """A user for each wish; products with plenty of stock, and one that is scarce."""
        tag = uuid4().hex[:12]
        async with self._client() as http:
            category = await self._made(http, "PRODUCTS", "/categories", {"name": "Chaos", "slug": f"chaos-{tag}"})
            pieces = {}
            for number in range(products):
                stock = _STOCK if number else max(1, round(len(wishes) * _SCARCE))
                body = {
                    "sku": f"{tag}-{number}",
                    "name": f"Thing {number}",
                    "brand": "Chaos",
                    "category_id": category,
                    "price": {"amount": f"{7 + 6 * number}.90"},
                    "stock": stock,
                }
                pieces[await self._made(http, "PRODUCTS", "/products", body)] = stock
            gate = asyncio.Semaphore(8)

            async def user(number: int) -> str:
                body = {"email": f"chaos-{tag}-{number}@example.org", "full_name": f"C. {number}", "country": "DE"}
                async with gate:
                    return await self._made(http, "USERS", "/users", body)

            users = await asyncio.gather(*(user(wish.number) for wish in wishes))
        return Shop(list(users), list(pieces), pieces)

    async def run(self, wishes: Sequence[Wish], shop: Shop) -> None:
        """Place every order, some at a time. Raises NoAnswer."""
        gate = asyncio.Semaphore(CUSTOMERS)
        tag = uuid4().hex
        self.told = [Told(wish, user) for wish, user in zip(wishes, shop.users, strict=True)]
        async with self._client() as http:

            async def one(told: Told) -> None:
                async with gate:
                    while told.wish.number >= self.may_start:
                        await asyncio.sleep(_LOOK)  # set by another thread
                    await _Customer(self, http, shop, told, f"{tag}-{told.wish.number}").shop()
                    self.answered += 1

            try:
                await asyncio.gather(*(one(told) for told in self.told))
            finally:
                self.over = True

    def _client(self) -> httpx.AsyncClient:
        auth = TokenSource(self.env["SESSIONS_URL"], "demo", self.env["DEMO_CLIENT_SECRET"])
        limits = httpx.Limits(max_connections=2 * CUSTOMERS)
        return httpx.AsyncClient(timeout=60, limits=limits, trust_env=False, auth=auth)

    async def _made(self, http: httpx.AsyncClient, service: str, path: str, body: dict[str, Any]) -> str:
        response = await http.post(self.env[f"{service}_URL"] + path, json=body)
        while response.status_code == httpx.codes.TOO_MANY_REQUESTS:
            await _rest(response)
            response = await http.post(self.env[f"{service}_URL"] + path, json=body)
        response.raise_for_status()
        return str(response.json()["id"])


class _Customer:
    def __init__(self, load: Load, http: httpx.AsyncClient, shop: Shop, told: Told, key: str) -> None:
        self._load = load
        self._http = http
        self._url = load.env["ORDERS_URL"]
        self._told = told
        self._headers = {"Idempotency-Key": key}
        self._body = {
            "user_id": told.user,
            "items": [
                {"product_id": shop.products[product], "quantity": pieces}
                for product, pieces in told.wish.items.items()
            ],
            "payment": {"method": "card", "token": told.wish.token},
        }
        self._until = time.monotonic() + _PATIENCE

    async def shop(self) -> None:
        """Place the order, change one's mind where that is the wish, and learn how it ended."""
        placing = asyncio.create_task(self._place())
        if self._told.wish.kind == CANCELLED:
            await self._cancel(placing)
        order_id = self._told.order_id = await placing
        if order_id is not None:
            self._told.status = await self._ended(order_id)

    async def _place(self) -> str | None:
        """The order's id; None when it was refused before it was one."""
        while time.monotonic() < self._until:
            try:
                response = await self._http.post(f"{self._url}/orders", json=self._body, headers=self._headers)
            except httpx.TransportError:
                self._load.answers["broken"] += 1
            else:
                self._load.answers[str(response.status_code)] += 1
                self._told.answer = response.status_code
                if not _to_be_repeated(response):
                    return _order_id(response)
                await _rest(response)
            await asyncio.sleep(_AGAIN)
            if found := await self._find():
                return found
        raise NoAnswer(f"user {self._told.user} was not told within {_PATIENCE:g} s whether the order was placed")

    async def _cancel(self, placing: "asyncio.Task[str | None]") -> None:
        """Cancel the order as soon as it is seen, usually while it is being placed."""
        while (order_id := await self._find()) is None:
            if placing.done():
                return
            await asyncio.sleep(_LOOK)  # what a customer does who looks at the list again
        while time.monotonic() < self._until:
            try:
                response = await self._http.post(f"{self._url}/orders/{order_id}/cancel")
            except httpx.TransportError:
                pass
            else:
                if response.status_code < 500 and response.status_code != httpx.codes.TOO_MANY_REQUESTS:
                    return
                await _rest(response)
            await asyncio.sleep(_AGAIN)
        raise NoAnswer(f"the cancellation of order {order_id} was not answered within {_PATIENCE:g} s")

    async def _ended(self, order_id: str) -> str:
        while (status := (await self._read(f"/orders/{order_id}")).get("status")) == "PENDING":
            if time.monotonic() > self._until:
                raise NoAnswer(f"order {order_id} was still PENDING after {_PATIENCE:g} s")
            await asyncio.sleep(_AGAIN)
        return str(status)

    async def _find(self) -> str | None:
        found = (await self._read(f"/orders?user_id={self._told.user}"))["items"]
        return str(found[0]["id"]) if found else None

    async def _read(self, path: str) -> dict[str, Any]:
        """The JSON of an answer, asked for until there is one."""
        while time.monotonic() < self._until:
            try:
                response = await self._http.get(self._url + path)
            except httpx.TransportError:
                pass
            else:
                if response.is_success:
                    document: dict[str, Any] = response.json()
                    return document
                await _rest(response)
            await asyncio.sleep(_AGAIN)
        raise NoAnswer(f"GET {path} was not answered within {_PATIENCE:g} s")


def _to_be_repeated(response: httpx.Response) -> bool:
    """Whether the answer leaves open how the order ends: a failing server, a limit, the first request still under way."""
    if response.status_code == httpx.codes.CONFLICT:
        return str(response.json().get("type", "")).endswith(":request-in-flight")
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return True
    return response.status_code >= 500 and _order_id(response) is None


def _order_id(response: httpx.Response) -> str | None:
    try:
        document = response.json()
    except ValueError:
        return None
    found = document.get("id") if response.is_success else document.get("order_id")
    return None if found is None else str(found)


async def _rest(response: httpx.Response) -> None:
    """Wait as long as the answer asks for."""
    if "retry-after" in response.headers:
        await asyncio.sleep(float(response.headers["retry-after"]))
