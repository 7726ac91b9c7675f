"""The same question as `bench.latency`, asked as a shop asks it: over HTTP, through the services.

An order's clock starts when the service has answered that it is confirmed, and ends when the raw orders in ClickHouse show
it confirmed. A product's clock starts when its new name was accepted, and ends when the search finds it by that name. The
shop keeps what was made for this: a category, a product, a customer, and the orders.
"""

import os
import time
import uuid
from collections.abc import Iterable

import httpx

from bench.report import Metric, at_most
from bench.steps import step
from bench.watching import Watcher, percentiles
from cdc import clickhouse
from cdc.settings import settings
from services.kit.token_source import TokenSource

_ORDERS_PER_SECOND = 10
_CHANGES = 40
_SEARCH_BAR_MS = 1500.0


def measure(seconds: int) -> list[Metric]:
    """Place orders at a steady rate for ``seconds``, then change a product some times; time each.

    Raises:
        httpx.HTTPError: a service did not answer as it should.
    """
    auth = TokenSource(os.environ["SESSIONS_URL"], "demo", os.environ["DEMO_CLIENT_SECRET"])
    with httpx.Client(timeout=10, auth=auth) as http:
        product, user = _goods(http)
        step(f"{_ORDERS_PER_SECOND} orders/s over HTTP for {seconds} s, looked for in ClickHouse")
        orders = _orders(http, product, user, seconds * _ORDERS_PER_SECOND)
        step(f"{_CHANGES} changes of a product, looked for by the search")
        changes = _changes(http, product)
    p50, p99 = percentiles(orders)
    return [
        Metric("orders over HTTP", len(orders), "orders"),
        Metric("order in clickhouse p50", round(p50, 2), "ms"),
        at_most("order in clickhouse p99", p99, "ms", 500),
        Metric("product found p50", round(percentiles(changes)[0], 2), "ms"),
        at_most("product found max", max(changes), "ms", _SEARCH_BAR_MS),
    ]


def _call(http: httpx.Client, method: str, service: str, path: str, body: dict[str, object]) -> dict[str, str]:
    headers = {"If-Match": "*", "Idempotency-Key": str(uuid.uuid4())}
    answer = http.request(method, os.environ[f"{service}_URL"] + path, json=body, headers=headers).raise_for_status()
    made: dict[str, str] = answer.json()
    return made


def _goods(http: httpx.Client) -> tuple[str, str]:
    tag = uuid.uuid4().hex[:12]
    category = _call(http, "POST", "PRODUCTS", "/categories", {"name": f"Bench {tag}", "slug": f"bench-{tag}"})
    product: dict[str, object] = {
        "sku": f"bench-{tag}",
        "name": "Measuring stick",
        "brand": "Bench",
        "category_id": category["id"],
        "price": {"amount": "1.00"},
        "stock": 1_000_000,
    }
    user: dict[str, object] = {"email": f"{tag}@bench.example", "full_name": "Bench", "country": "DE"}
    return _call(http, "POST", "PRODUCTS", "/products", product)["id"], _call(http, "POST", "USERS", "/users", user)[
        "id"
    ]


def _orders(http: httpx.Client, product: str, user: str, count: int) -> list[float]:
    config = settings()
    client = clickhouse.engine_client(config)

    def seen(missing: list[str]) -> list[str]:
        names = ",".join(f"'{name}'" for name in missing)
        condition = f"id IN ({names}) AND status = 'CONFIRMED'"
        return [
            row[0]
            for row in client.query(f"SELECT toString(id) FROM raw_orders.orders FINAL WHERE {condition}").result_rows
        ]

    order: dict[str, object] = {
        "user_id": user,
        "items": [{"product_id": product, "quantity": 1}],
        "payment": {"method": "card", "token": "tok_ok"},
    }
    _call(http, "POST", "ORDERS", "/orders", order)  # warms the services' pools; not counted
    watcher = Watcher(seen)
    watcher.start()
    started = time.perf_counter()
    for number in range(count):
        pause = started + number / _ORDERS_PER_SECOND - time.perf_counter()
        if pause > 0:
            time.sleep(pause)  # the steady rate of the load
        placed = _call(http, "POST", "ORDERS", "/orders", order)["id"]
        watcher.expect(placed, time.perf_counter())
    return watcher.finish()


def _changes(http: httpx.Client, product: str) -> list[float]:
    taken = []
    for _ in range(_CHANGES):
        word = uuid.uuid4().hex

        def seen(names: list[str]) -> Iterable[str]:
            answer = http.get(os.environ["SEARCH_URL"] + "/search", params={"q": names[0]}).raise_for_status()
            return [names[0] for hit in answer.json()["hits"] if hit["id"] == product and names[0] in hit["name"]]

        watcher = Watcher(seen)
        _call(http, "PATCH", "PRODUCTS", f"/products/{product}", {"name": f"Measuring stick {word}"})
        watcher.expect(word, time.perf_counter())
        watcher.start()
        taken += watcher.finish()
    return taken
