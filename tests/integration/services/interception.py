"""A proxy before a service whose calls a test can hold: before they reach the service, or after, so that the answer is
lost. What is held is never sent on: its caller is meant to be gone by then.
"""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import httpx

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")


@dataclass(frozen=True)
class Point:
    """Where a call is held: its method, the end of its path, and whether the service has carried it out by then."""

    method: str
    path: str
    done: bool

    def matches(self, method: str, path: str) -> bool:
        return self.method == method and re.search(self.path + "$", path.partition("?")[0]) is not None


@dataclass
class Held:
    """Which order is held where; shared by several proxies."""

    points: list[Point]
    orders: dict[Point, str] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)
    over: threading.Event = field(default_factory=threading.Event)

    def take(self, method: str, path: str, order: str) -> Point | None:
        """The point at which this call is held from now on, each point for the first order that comes by."""
        with self.changed:
            if self.over.is_set():
                return None
            for point in self.points:
                if not point.matches(method, path):
                    continue
                if self.orders.get(point) == order or (point not in self.orders and order not in self.orders.values()):
                    self.orders[point] = order
                    self.changed.notify_all()
                    return point
            return None

    def add(self, points: list[Point]) -> None:
        with self.changed:
            self.points += points

    def wait_until_full(self, seconds: float = 40.0) -> None:
        with self.changed:
            full = self.changed.wait_for(lambda: len(self.orders) == len(self.points), seconds)
            assert full, f"nobody came by at {[point for point in self.points if point not in self.orders]}"


class Proxy:
    """Serves on a port of its own; `order_of` tells the order of a call that carries no order's id."""

    def __init__(self, target: str, held: Held, order_of: Callable[[str, str], str | None] | None = None) -> None:
        client = httpx.Client(base_url=target, timeout=30, trust_env=False)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                order = order_of(self.command, self.path) if order_of else _order(self.path, body)
                point = held.take(self.command, self.path, order) if order else None
                if point is not None and not point.done:
                    held.over.wait()
                    self.close_connection = True
                    return
                headers = {"content-type": self.headers.get("content-type", "application/json")}
                headers |= {"authorization": token} if (token := self.headers.get("authorization")) else {}
                answer = client.request(self.command, self.path, content=body, headers=headers)
                if point is not None:
                    held.over.wait()
                    self.close_connection = True
                    return
                self.send_response(answer.status_code)
                self.send_header("content-type", answer.headers.get("content-type", "application/json"))
                self.send_header("content-length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_POST = handle_any  # noqa: N815

        self._client = client
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._client.close()


def _order(path: str, body: bytes) -> str | None:
    found = _UUID.search(path)
    if found is not None and "/users/" not in path:
        return found[0]
    content = json.loads(body) if body else {}
    order = content.get("order_id")
    return str(order) if order else None
