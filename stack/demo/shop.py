"""The shop simulation: customers who search, browse, order and cancel, and a merchant who changes prices, stock and products.

Everything goes over HTTP through the services, several shoppers at a time; what a shopper does follows from the seed.
Any answer that the simulation did not expect ends it with that answer.
"""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from stack.demo import catalogue, people
from stack.errors import StackError

_IMPORT = 250
_SHOPPERS = 6
_PATIENCE = 120.0
_ANY_VERSION = {"If-Match": "*"}  # the simulated merchant has not looked before
_QUERIES = (
    "running shoes", "knife", "coffee grnder", "wireless headphones", "linen cushion", "backpack",
    "tent", "oak lamp", "notebook", "usb cable", "bike helmet", "yoga mat",
)  # fmt: skip


class UnexpectedAnswer(StackError):
    """A service answered what the simulation does not allow for."""


@dataclass
class Visit:
    """What one visitor did, in order."""

    session: str
    user: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)

    def note(self, kind: str, **members: Any) -> None:
        """One more event, of now."""
        at = datetime.now(UTC).isoformat()
        self.events.append({"type": kind, "session": self.session, "user_id": self.user, "at": at, **members})


@dataclass
class Shop:
    """The simulated shop; ``counts`` tells what happened so far."""

    urls: dict[str, str]
    seed: int
    http: httpx.AsyncClient
    counts: Counter[str] = field(default_factory=Counter)
    products: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)
    shelves: list[str] = field(default_factory=list)
    tag: str = ""

    async def call(self, service: str, method: str, path: str, *allowed: int, **options: Any) -> httpx.Response:
        """One request to a service; 2xx and the allowed statuses are fine. A POST has a key of its own."""
        key = {"Idempotency-Key": str(uuid.uuid4())} if method == "POST" else {}
        options["headers"] = key | options.get("headers", {})
        answer = await self.http.request(method, self.urls[service] + path, **options)
        if not answer.is_success and answer.status_code not in allowed:
            raise UnexpectedAnswer(f"{method} {service}{path} answered {answer.status_code}: {answer.text[:300]}")
        return answer

    async def stock_shelves(self, count: int) -> None:
        """Make the category tree and the catalogue, unless an earlier run did; then learn the products' ids."""
        there = (await self.call("products", "GET", "/categories")).json()["items"]
        known = {tuple(category["path"]): category for category in there}
        for path in catalogue.categories():
            if path not in known:
                parent = known[path[:-1]]["id"] if len(path) > 1 else None
                body = {"name": path[-1], "slug": catalogue.slug(path), "parent_id": parent}
                known[path] = (await self.call("products", "POST", "/categories", json=body)).json()
        shelves = [known[kind.path]["id"] for kind in catalogue.KINDS]
        self.shelves = [known[kind.path]["slug"] for kind in catalogue.KINDS]
        self.products = await self._on_shelves(shelves)
        if self.products:
            return
        bodies = [body | {"category_id": known[path]["id"]} for path, body in catalogue.products(count, self.seed)]
        for start in range(0, len(bodies), _IMPORT):
            await self.call("products", "POST", "/products:import", json={"products": bodies[start : start + _IMPORT]})
        self.counts["products made"] += len(bodies)
        deadline = time.monotonic() + _PATIENCE
        while len(self.products) < len(bodies):  # lists are read from the replica, which follows in a moment
            if time.monotonic() > deadline:
                raise UnexpectedAnswer(
                    f"the replica lists {len(self.products)} of {len(bodies)} products; `millrace status`"
                )
            self.products = await self._on_shelves(shelves)

    async def wait_until_found(self) -> None:
        """Return once the search finds the whole catalogue; a copy that is still being filled may refuse meanwhile.

        Raises:
            UnexpectedAnswer: it was not found within two minutes.
        """
        deadline = time.monotonic() + _PATIENCE
        while (found := await self._found()) < len(self.products):
            if time.monotonic() > deadline:
                raise UnexpectedAnswer(
                    f"the search finds {found} of {len(self.products)} products; `millrace logs document-sink` says why"
                )
            await asyncio.sleep(0.2)  # polls the copy: there is no notification

    async def register(self, count: int, tag: str) -> None:
        """Register customers."""
        self.tag = tag  # keeps the sessions of separate runs apart, too
        gate = asyncio.Semaphore(_SHOPPERS)

        async def one(body: dict[str, Any]) -> str:
            async with gate:
                user = str((await self.call("users", "POST", "/users", json=body)).json()["id"])
                await self.call("users", "POST", f"/users/{user}/addresses", json=people.address(body["country"], user))
                return user

        self.users = list(await asyncio.gather(*(one(body) for body in people.customers(count, self.seed, tag))))
        self.counts["customers registered"] += count

    async def trade(self, orders: int, progress: Callable[[], None]) -> None:
        """Run the shop until so many orders were tried; ``progress`` is called after each."""
        queue = iter(range(orders))

        async def shopper(number: int) -> None:
            chooser = random.Random(self.seed * 1000 + number)
            for _ in queue:
                await self._visit(chooser)
                await self._merchant(chooser)
                progress()

        await asyncio.gather(*(shopper(number) for number in range(_SHOPPERS)))

    async def _visit(self, chooser: random.Random) -> None:
        visit = Visit(f"{self.tag}-{chooser.getrandbits(64):016x}")
        visit.note("page_view", path="/")
        query = chooser.choice(_QUERIES)
        found = await self.call("search", "GET", "/search", params={"q": query, "in_stock": "true"})
        visit.note("search", query=query, total=found.json()["total"])
        self.counts["searches"] += 1
        items = [
            {"product_id": p, "quantity": chooser.randint(1, 3)}
            for p in chooser.sample(self.products, chooser.randint(1, 4))
        ]
        for item in items:
            visit.note("product_view", product_id=item["product_id"])
            visit.note("cart_add", **item)
        token = "tok_declined" if chooser.random() < 0.05 else "tok_ok"
        visit.user = chooser.choice(self.users)
        body = {"user_id": visit.user, "items": items, "payment": {"method": "card", "token": token}}
        answer = await self.call("orders", "POST", "/orders", 402, 409, 422, json=body)
        self.counts[
            {201: "orders confirmed", 402: "payments declined", 409: "out of stock"}.get(
                answer.status_code, "product gone"
            )
        ] += 1
        if answer.status_code == 201:
            visit.note("order_placed", order_id=answer.json()["id"])
        await self._tell(visit)
        await self._tell(self._browse(chooser))
        if answer.status_code == 201 and chooser.random() < 0.08:
            await self.call("orders", "POST", f"/orders/{answer.json()['id']}/cancel")
            self.counts["orders cancelled"] += 1

    def _browse(self, chooser: random.Random) -> "Visit":
        """A visit of somebody who looks around, fills a cart at times, and leaves."""
        visit = Visit(f"{self.tag}-{chooser.getrandbits(64):016x}")
        visit.note("page_view", path="/")
        for product in chooser.sample(self.products, chooser.randint(0, 2)):
            visit.note("product_view", product_id=product)
            if chooser.random() < 0.3:
                visit.note("cart_add", product_id=product, quantity=1)
        return visit

    async def _tell(self, visit: "Visit") -> None:
        """Send what a visitor did, as a shop front does."""
        await self.call("analytics", "POST", "/events", json={"events": visit.events})
        self.counts["events recorded"] += len(visit.events)

    async def _merchant(self, chooser: random.Random) -> None:
        product, dice = chooser.choice(self.products), chooser.random()
        if dice < 0.15:
            price = {"amount": f"{chooser.randint(499, 49999) / 100:.2f}", "currency": "EUR"}
            await self.call("products", "PUT", f"/products/{product}/price", 404, json=price, headers=_ANY_VERSION)
            self.counts["prices changed"] += 1
        elif dice < 0.25:
            await self.call(
                "products", "POST", f"/products/{product}/stock", 404, json={"delta": chooser.randint(5, 40)}
            )
            self.counts["goods received"] += 1
        elif dice < 0.28:
            await self.call(
                "products",
                "PATCH",
                f"/products/{product}",
                404,
                json={"description": f"Revised: batch {chooser.randint(1, 9999)}."},
                headers=_ANY_VERSION,
            )
            self.counts["products edited"] += 1
        elif dice < 0.30:
            await self.call("products", "DELETE", f"/products/{product}", 404, headers=_ANY_VERSION)
            self.counts["products deleted"] += 1

    async def _found(self) -> int:
        """How many products the search finds on the catalogue's shelves."""
        found = 0
        for shelf in self.shelves:
            parameters = {"q": "", "category": shelf}
            found += (await self.call("search", "GET", "/search", 503, params=parameters)).json().get("total", 0)
        return found

    async def _on_shelves(self, categories: list[str]) -> list[str]:
        """Ids of all products of these categories."""
        ids: list[str] = []
        for category in categories:
            cursor: str | None = None
            while True:
                parameters = {"category_id": category, "limit": 200} | ({"cursor": cursor} if cursor else {})
                page = (await self.call("products", "GET", "/products", params=parameters)).json()
                ids += [item["id"] for item in page["items"]]
                cursor = page.get("next_cursor")
                if not cursor:
                    break
        return ids
