"""A collector of traces: takes what exporters send by OTLP over HTTP and keeps the spans."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True)
class Seen:
    """A span as it was sent; ids in hex, `parent` empty at the beginning of a trace."""

    service: str
    name: str
    server: bool
    trace: str
    id: str
    parent: str


class Collector:
    """Listens on a port of its own during the block."""

    def __init__(self) -> None:
        self.spans: list[Seen] = []
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                spans.extend(_seen(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        """What a process must be told to send its spans here, every tenth of a second."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _seen(body: bytes) -> list[Seen]:
    return [
        Seen(
            service=next(each.value.string_value for each in sent.resource.attributes if each.key == "service.name"),
            name=span.name,
            server=span.kind == Span.SPAN_KIND_SERVER,
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
        )
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in sent.scope_spans
        for span in scope.spans
    ]
