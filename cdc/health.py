"""A small HTTP answer to "is this process doing its work", for processes that serve nothing else.

``GET /readyz`` answers 200 with a JSON object when the process is ready, 503 with the same object when it is not;
``GET /metrics`` answers what the process counts, for Prometheus.
"""

import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Report = Callable[[], tuple[bool, dict[str, Any]]]


def serve(port: int, report: Report) -> ThreadingHTTPServer:
    """Answer on loopback in a daemon thread until the process ends; ``report`` gives readiness and facts to show."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest())
                return
            if self.path not in ("/readyz", "/livez"):
                self.send_error(404)
                return
            ready, facts = report()
            body = json.dumps({"ready": ready, **facts}).encode()
            self._answer(200 if ready or self.path == "/livez" else 503, "application/json", body)

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Probes come every second; they are not worth a line."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A prober that hangs up is not worth a traceback; anything else is."""
            if not isinstance(sys.exception(), ConnectionError):
                super().handle_error(request, client_address)

    server = Server(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
