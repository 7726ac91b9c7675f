"""What a service counts about itself, served under /metrics. METRICS.md says which question each metric answers.

One process is one service, so the process has one registry. Routes are labelled by their template, never by the path:
a label must not have as many values as there are users.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Protocol
from weakref import WeakSet

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REQUESTS = Counter(
    "millrace_http_requests", "Requests by route template, method and status", ["method", "route", "status"]
)
REQUEST_SECONDS = Histogram(
    "millrace_http_request_seconds", "Time from the request's head to its answer", ["method", "route"], buckets=_BUCKETS
)
_IN_FLIGHT = Gauge("millrace_http_requests_in_flight", "Requests being worked on")
REPLICA_READS = Counter(
    "millrace_replica_reads",
    "Reads that may go to the replica: `replica`, or why they went to the primary (writes, lag, away)",
    ["outcome"],
)
REPLICA_LAG = Gauge("millrace_replica_lag_seconds", "How far the replica was behind when last looked at")


@dataclass(slots=True)
class InFlight:
    """How many requests are being worked on: a number of the event loop's own, which needs no lock."""

    count: int = 0


in_flight = InFlight()
_IN_FLIGHT.set_function(lambda: in_flight.count)


class Watched(Protocol):
    """A pool of connections that says how it is."""

    kind: str

    def statistics(self) -> dict[str, int]: ...


class _Pools(Collector):
    """The connections of all open pools, asked for when somebody reads the metrics."""

    def __init__(self) -> None:
        self.pools: WeakSet[Watched] = WeakSet()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        connections = GaugeMetricFamily(
            "millrace_pool_connections", "Connections to PostgreSQL", labels=["pool", "state"]
        )
        waiting = GaugeMetricFamily("millrace_pool_requests_waiting", "Who waits for a connection", labels=["pool"])
        for pool in self.pools:
            counts = pool.statistics()
            idle = counts.get("pool_available", 0)
            connections.add_metric([pool.kind, "idle"], idle)
            connections.add_metric([pool.kind, "busy"], counts.get("pool_size", 0) - idle)
            waiting.add_metric([pool.kind], counts.get("requests_waiting", 0))
        yield connections
        yield waiting


_pools = _Pools()
REGISTRY.register(_pools)


def watch(pool: Watched) -> None:
    """Show a pool's connections for as long as it exists."""
    _pools.pools.add(pool)


@cache
def _counters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Looking labels up costs more than counting; there are as many as routes and statuses."""
    return REQUESTS.labels(method, route, str(status)), REQUEST_SECONDS.labels(method, route)


def answered(method: str, route: str | None, status: int, seconds: float) -> None:
    """Count a request. `route` is its template, None where no route took it."""
    requests, durations = _counters(method if method in _METHODS else "other", route or "none", status)
    requests.inc()
    durations.observe(seconds)


async def show(_: Request) -> Response:
    """The metrics in Prometheus' text format."""
    return Response(generate_latest(REGISTRY), headers={"content-type": CONTENT_TYPE_LATEST})
