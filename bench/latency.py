"""How long after COMMIT a change is visible in ClickHouse (a FINAL select) and in Elasticsearch (a search).

One table of the benchmark's own, one writer at a steady rate, the client's clock from the return of COMMIT. Visibility is
polled without a pause between polls worth measuring; each row is timed on its own. The ceiling beside it is what one
round trip of the same select costs.
"""

import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import psycopg
from clickhouse_connect.driver.exceptions import ClickHouseError

from bench.report import Metric, at_most
from bench.source import throw_away_source
from cdc import clickhouse
from cdc.settings import settings

TABLES = """
CREATE TABLE public.samples (
    id bigint PRIMARY KEY, customer_id bigint NOT NULL, status text NOT NULL, total numeric(12, 2) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(), note text
);
"""
DOCUMENTS = """
documents:
  - index: bench
    nodes: {table: samples, columns: [id, status]}
    mapping: {id: {type: long}, status: {type: keyword}}
"""
REFRESH_MS = 200.0
_TIMEOUT = 30.0
_POLL = 0.002


def measure(seconds: int, rate: int) -> list[Metric]:
    """Commit ``rate`` rows a second for ``seconds`` and time each in both copies."""
    with throw_away_source("bench", TABLES, DOCUMENTS) as source:
        source.apply()
        committed: list[float] = []
        watchers = [_Watcher(_seen_in_clickhouse(), committed), _Watcher(_seen_in_elasticsearch(), committed)]
        for watcher in watchers:
            watcher.start()
        _write(source.dsn, committed, seconds * rate, rate)
        for watcher in watchers:
            watcher.finish(len(committed))
    in_clickhouse, in_elasticsearch = (watcher.latencies() for watcher in watchers)
    c50, c99 = _percentiles(in_clickhouse)
    e50, e99 = _percentiles(in_elasticsearch)
    return [
        Metric("samples", len(in_clickhouse), "commits"),
        Metric("rate", rate, "commits/s"),
        at_most("clickhouse p50", c50, "ms", 60),
        at_most("clickhouse p99", c99, "ms", 250),
        Metric("clickhouse max", round(max(in_clickhouse), 2), "ms"),
        Metric("elasticsearch p50", round(e50, 2), "ms"),
        at_most("elasticsearch p99", e99, "ms", REFRESH_MS + 300),
        Metric("clickhouse poll", round(statistics.median(watchers[0].polls) * 1000, 2), "ms"),
    ]


def _write(dsn: str, committed: list[float], count: int, rate: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        started = time.perf_counter()
        for number in range(count):
            pause = started + number / rate - time.perf_counter()
            if pause > 0:
                time.sleep(pause)  # the steady rate of the load
            connection.execute(
                "INSERT INTO samples (id, customer_id, status, total, note) VALUES (%s, %s, 'new', %s, 'a note of some length')",
                [number, number % 97, number % 1000],
            )
            committed.append(time.perf_counter())


class _Watcher(threading.Thread):
    """Polls one copy for ids above the highest of an unbroken run; notes when each id was first seen."""

    def __init__(self, seen: Callable[[int], list[int]], committed: list[float]) -> None:
        super().__init__(daemon=True)
        self._seen, self._committed = seen, committed
        self._at: dict[int, float] = {}
        self._wanted: int | None = None
        self.polls: list[float] = []
        self._failure: Exception | None = None

    def run(self) -> None:
        floor = 0
        try:
            while self._wanted is None or floor < self._wanted:
                before = time.perf_counter()
                found = self._seen(floor)
                now = time.perf_counter()
                self.polls.append(now - before)
                for number in found:
                    self._at.setdefault(number, now)
                while floor in self._at:
                    floor += 1
                time.sleep(_POLL)  # polls the copy itself: visibility is what is measured
        except (httpx.HTTPError, ClickHouseError) as error:
            self._failure = error

    def finish(self, wanted: int) -> None:
        """Wait until the ids 0 .. wanted-1 were all seen."""
        self._wanted = wanted
        self.join(_TIMEOUT)
        if self._failure is not None:
            raise self._failure
        if self.is_alive():
            raise TimeoutError(
                f"{wanted - len(self._at)} of {wanted} rows were not visible {_TIMEOUT:g} s after the last commit"
            )

    def latencies(self) -> list[float]:
        """Milliseconds from commit to sight, for each row."""
        return [(self._at[number] - at) * 1000 for number, at in enumerate(self._committed)]


def _seen_in_clickhouse() -> Callable[[int], list[int]]:
    config = settings()
    client = clickhouse.connect(config.clickhouse_url, config.clickhouse_cdc_password)

    def seen(floor: int) -> list[int]:
        return [
            row[0] for row in client.query(f"SELECT id FROM raw_bench.samples FINAL WHERE id >= {floor}").result_rows
        ]

    return seen


def _seen_in_elasticsearch() -> Callable[[int], list[int]]:
    http = httpx.Client(base_url=settings().elasticsearch_url, timeout=10)

    def seen(floor: int) -> list[int]:
        body: dict[str, Any] = {"size": 1000, "_source": False, "query": {"range": {"id": {"gte": floor}}}}
        return [
            int(hit["_id"]) for hit in http.post("/bench/_search", json=body).raise_for_status().json()["hits"]["hits"]
        ]

    return seen


def _percentiles(samples: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(samples, n=100, method="inclusive")
    return cuts[49], cuts[98]
