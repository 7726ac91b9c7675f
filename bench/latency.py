"""How long after COMMIT a change is visible in ClickHouse (a FINAL select) and in Elasticsearch (a search).

One table of the benchmark's own, one writer at a steady rate, the client's clock from the return of COMMIT; each row is
timed on its own. The two copies are measured one after the other, so that one's polling does not slow the other, and each
after a warm-up: the first seconds of a new source hold the sinks' joining of its topics. Then the same over HTTP
(`bench.shop_latency`).
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import httpx
import psycopg

from bench.report import Metric, at_most
from bench.source import throw_away_source
from bench.steps import step
from bench.watching import Watcher, percentiles
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
_WARM_UP_SECONDS = 4

Seen = Callable[[list[str]], list[str]]


def measure(seconds: int, rate: int) -> list[Metric]:
    """Commit ``rate`` rows a second for ``seconds`` and time each; once for each copy."""
    step(f"{rate} commits/s for {seconds} s, looked for in ClickHouse")
    in_clickhouse, clickhouse_polls = _timed(_in_clickhouse, "", seconds, rate)
    step(f"{rate} commits/s for {seconds} s, looked for in Elasticsearch")
    in_elasticsearch, _ = _timed(_in_elasticsearch, DOCUMENTS, seconds, rate)
    c50, c99 = percentiles(in_clickhouse)
    e50, e99 = percentiles(in_elasticsearch)
    return [
        Metric("samples of each", len(in_clickhouse), "commits"),
        Metric("rate", rate, "commits/s"),
        at_most("clickhouse p50", c50, "ms", 60),
        at_most("clickhouse p99", c99, "ms", 250),
        Metric("clickhouse max", round(max(in_clickhouse), 2), "ms"),
        Metric("clickhouse poll", round(statistics.median(clickhouse_polls) * 1000, 2), "ms"),
        Metric("elasticsearch p50", round(e50, 2), "ms"),
        at_most("elasticsearch p99", e99, "ms", REFRESH_MS + 300),
        Metric("elasticsearch max", round(max(in_elasticsearch), 2), "ms"),
    ]


def _timed(copy: Callable[[], Seen], documents: str, seconds: int, rate: int) -> tuple[list[float], list[float]]:
    """Milliseconds of each row, and seconds of each poll."""
    with throw_away_source("bench", TABLES, documents) as source:
        source.apply()
        warm_up = Watcher(copy())
        warm_up.start()
        _write(source.dsn, warm_up, range(-_WARM_UP_SECONDS * rate, 0), rate)
        warm_up.finish()
        watcher = Watcher(copy())
        watcher.start()
        _write(source.dsn, watcher, range(seconds * rate), rate)
        return watcher.finish(), watcher.polls


def _write(dsn: str, watcher: Watcher, numbers: range, rate: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        started = time.perf_counter()
        for turn, number in enumerate(numbers):
            pause = started + turn / rate - time.perf_counter()
            if pause > 0:
                time.sleep(pause)  # the steady rate of the load
            connection.execute(
                "INSERT INTO samples (id, customer_id, status, total, note) VALUES (%s, %s, 'new', %s, 'a note of some length')",
                [number, number % 97, number % 1000],
            )
            watcher.expect(str(number), time.perf_counter())


def _in_clickhouse() -> Seen:
    config = settings()
    client = clickhouse.engine_client(config)

    def seen(missing: list[str]) -> list[str]:
        found = client.query(f"SELECT toString(id) FROM raw_bench.samples FINAL WHERE id IN ({','.join(missing)})")
        return [row[0] for row in found.result_rows]

    return seen


def _in_elasticsearch() -> Seen:
    http = httpx.Client(base_url=settings().elasticsearch_url, timeout=10)

    def seen(missing: list[str]) -> list[str]:
        body: dict[str, Any] = {"size": 1000, "_source": False, "query": {"terms": {"id": missing[:1000]}}}
        answer = http.post("/bench/_search", json=body).raise_for_status().json()
        return [hit["_id"] for hit in answer["hits"]["hits"]]

    return seen
