"""How fresh the copies are while the shop is used: from the answer of a price change to its visibility in each copy.

The clock is the client's, started when the service has answered (the change is committed); "visible" is a query's answer,
in ClickHouse with FINAL, in Elasticsearch by search (so it includes the index's refresh).
"""

import statistics
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import clickhouse_connect
import httpx
from clickhouse_connect.driver.exceptions import ClickHouseError

from services.kit.token_source import TokenSource
from stack.errors import StackError

_TIMEOUT = 20.0
_POLL = 0.004


class StaleCopy(StackError):
    """A change did not become visible in a copy."""


class FreshnessProbe:
    """Changes prices of products of its own through HTTP, one after the other, and times each copy. Use as a context."""

    def __init__(self, env: dict[str, str], product_ids: list[str]) -> None:
        self._env = env
        self._products = product_ids
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._measure, args=("clickhouse", self._in_clickhouse()), daemon=True),
            threading.Thread(target=self._measure, args=("elasticsearch", self._in_elasticsearch()), daemon=True),
        ]
        self.samples: dict[str, list[float]] = {"clickhouse": [], "elasticsearch": []}
        self.failure: Exception | None = None

    def __enter__(self) -> "FreshnessProbe":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def finish(self) -> None:
        """End both measurements and wait for the change that each is timing."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def percentiles(self) -> dict[str, dict[str, float]]:
        """Milliseconds at p50 and p99 for each copy.

        Raises:
            StaleCopy, httpx.HTTPError: what ended a measurement early.
        """
        if self.failure is not None:
            raise self.failure
        return {copy: _percentiles(samples) for copy, samples in self.samples.items()}

    def _measure(self, copy: str, visible: Callable[[str, int], bool]) -> None:
        cents, turn = int(time.time()) % 100_000, 0
        try:
            merchant = TokenSource(self._env["SESSIONS_URL"], "demo", self._env["DEMO_CLIENT_SECRET"])
            with httpx.Client(base_url=self._env["PRODUCTS_URL"], timeout=10, auth=merchant) as http:
                while not self._stopping.is_set():
                    turn += 1
                    product = self._products[(2 * turn + (copy == "clickhouse")) % len(self._products)]
                    price = cents + turn
                    answer = http.put(
                        f"/products/{product}/price",
                        json={"amount": f"{price / 100:.2f}", "currency": "EUR"},
                        headers={"If-Match": "*"},
                    )
                    if answer.status_code == 404:
                        continue
                    answer.raise_for_status()
                    seen = partial(visible, product, price)
                    self.samples[copy].append(_time_until(seen, f"{copy}: price of {product}"))
        except (StackError, httpx.HTTPError, ClickHouseError) as error:
            self.failure = error

    def _in_clickhouse(self) -> Callable[[str, int], bool]:
        address = httpx.URL(self._env["CLICKHOUSE_URL"])
        client = clickhouse_connect.get_client(
            host=address.host,
            port=address.port or 8123,
            username="reader",
            password=self._env["CLICKHOUSE_READER_PASSWORD"],
            autogenerate_session_id=False,
        )
        query = "SELECT count() FROM raw_products.prices FINAL WHERE product_id = {id:UUID} AND amount = {amount:Decimal(12, 2)}"

        def visible(product: str, cents: int) -> bool:
            return bool(client.query(query, {"id": product, "amount": f"{cents / 100:.2f}"}).result_rows[0][0])

        return visible

    def _in_elasticsearch(self) -> Callable[[str, int], bool]:
        http = httpx.Client(base_url=self._env["ELASTICSEARCH_URL"], timeout=10)

        def visible(product: str, cents: int) -> bool:
            filters: list[dict[str, Any]] = [{"ids": {"values": [product]}}, {"term": {"price.amount_cents": cents}}]
            answer = http.post(
                "/products/_search", json={"size": 0, "track_total_hits": True, "query": {"bool": {"filter": filters}}}
            )
            return bool(answer.raise_for_status().json()["hits"]["total"]["value"])

        return visible


def _time_until(visible: Callable[[], bool], what: str) -> float:
    """Milliseconds until ``visible`` says yes."""
    started = time.perf_counter()
    while not visible():
        if time.perf_counter() - started > _TIMEOUT:
            raise StaleCopy(
                f"{what} was not visible after {_TIMEOUT:g} s; `millrace status` and the sinks' logs say why"
            )
        time.sleep(_POLL)  # polls the copy itself: visibility is what is measured
    return (time.perf_counter() - started) * 1000


def _percentiles(samples: list[float]) -> dict[str, float]:
    if len(samples) < 2:
        raise StaleCopy("too few changes were timed; run the demo with more --orders")
    cuts = statistics.quantiles(samples, n=100, method="inclusive")
    return {"p50": round(cuts[49], 1), "p99": round(cuts[98], 1)}
