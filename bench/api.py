"""How fast a product is read: from the process, from Redis, from the database, from the replica; beside an empty route.

The ceiling of L1 is an empty route in the same server with the same settings, middleware and log: what is left is the
cache's own cost. It is judged by answers for each second of the server's CPU time, which is what one core of its own would
answer in a second, whatever else the machine and the load generator do; rounds alternate, and the median counts. Answers a
second by the clock stand beside.
"""

import os
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import psutil

from bench import http_load
from bench.report import Metric, at_least
from bench.steps import step
from services.kit.token_source import TokenSource
from stack.settings import ROOT

_PRODUCTS = 100
_ROUNDS = 5
_BAR = 0.8
_PATIENCE = 60.0


def measure(seconds: float) -> list[Metric]:
    """Measure each way for ``seconds`` a round.

    Raises:
        RuntimeError: an answer was not 200, or the server did not start.
    """
    ids = _goods()
    with _server("bare") as bare, _server("products") as served:

        def rates(path: str, server: _Server = served) -> tuple[float, float]:
            """Answers a second of CPU time, and by the clock."""
            paths = [path.format(each) for each in ids] if "{}" in path else [path]
            before = server.cpu_seconds()
            done = http_load.run(server.port, paths, seconds)
            if done.failures:
                raise RuntimeError(f"{done.failures} answers to {path} were not 200")
            return done.answers / (server.cpu_seconds() - before), done.rate

        empty, first = list[tuple[float, float]](), list[tuple[float, float]]()
        for turn in range(_ROUNDS):
            step(f"round {turn + 1} of {_ROUNDS}: the empty route, then hits in the process")
            empty.append(rates("/empty"))
            first.append(rates("/products/{}"))
        step("Redis, the database, the replica")
        beside = {
            "empty route": _medians(empty),
            "L1 hits": _medians(first),
            "L2 hits": rates("/second-level/{}"),
            "database reads": rates("/database/{}"),
            "replica reads": rates("/replica/{}"),
            "empty route, no middleware": rates("/empty", bare),
        }
    return [
        at_least("L1 hits", beside["L1 hits"][0], "answers/CPU s", beside["empty route"][0], _BAR),
        *(Metric(name, round(each, 2), "answers/CPU s") for name, (each, _) in beside.items() if name != "L1 hits"),
        *(Metric(f"{name}, by the clock", round(each, 2), "answers/s") for name, (_, each) in beside.items()),
        Metric(f"connections of {http_load.generator()}", http_load.CONNECTIONS, "connections"),
    ]


def _medians(rounds: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(each for each, _ in rounds), statistics.median(each for _, each in rounds)


def _goods() -> list[str]:
    """The ids of products made for this."""
    tag = uuid.uuid4().hex[:12]
    auth = TokenSource(os.environ["SESSIONS_URL"], "demo", os.environ["DEMO_CLIENT_SECRET"])
    with httpx.Client(base_url=os.environ["PRODUCTS_URL"], timeout=30, auth=auth) as http:
        category = http.post("/categories", json={"name": f"Bench {tag}", "slug": f"bench-{tag}"}).raise_for_status()
        goods = [
            {
                "sku": f"bench-{tag}-{number}",
                "name": f"Measuring stick {number}",
                "brand": "Bench",
                "category_id": category.json()["id"],
                "description": "Measures what it is held to, once in each direction. " * 6,
                "attributes": {"length": number, "colour": "red"},
                "price": {"amount": "1.00"},
                "stock": 10,
            }
            for number in range(_PRODUCTS)
        ]
        http.post("/products:import", json={"products": goods}).raise_for_status()
        wanted, deadline = {"category_id": category.json()["id"], "limit": _PRODUCTS}, time.monotonic() + _PATIENCE
        while len(items := http.get("/products", params=wanted).raise_for_status().json()["items"]) < _PRODUCTS:
            if time.monotonic() > deadline:
                raise RuntimeError("the replica does not show the products; `millrace status`")
            time.sleep(0.1)  # lists come from the replica, which tells nobody when it has caught up
    return [item["id"] for item in items]


@dataclass(frozen=True)
class _Server:
    """A server that runs."""

    port: int
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """What it has used until now."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def _server(kind: str) -> Iterator[_Server]:
    """A server of `bench.api_server`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "bench.api_server", kind, str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        _wait_until_up(process, port)
        yield _Server(port, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_up(process: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/empty").raise_for_status()
            return
        except httpx.HTTPError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the measured server does not answer: {error}") from error
            time.sleep(0.1)  # polls the server's port: there is no notification
