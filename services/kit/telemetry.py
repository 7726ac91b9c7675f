"""Traces: every request has a W3C trace id, taken from its caller or made here, handed on to whatever it calls or queues.

Spans are recorded and exported only when OTEL_EXPORTER_OTLP_ENDPOINT is set (OTLP over HTTP; the exporter reads its other
standard variables itself). Otherwise ids are made and handed on, and that is all: no exporter, no thread, no network.
FastAPI's own spans are off and the instrumentation packages are not used: they take several times as much of the CPU per
request, and know nothing of outbox rows and sagas.
"""

import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Token

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"

_w3c = TraceContextTextMapPropagator()
_NO_TRACE = Context()


class _Exporting:
    """What the process exports with, if it does."""

    tracer: trace.Tracer | None = None
    shutdown: Callable[[], None] | None = None


def configure(service: str) -> None:
    """Export the process's spans when a collector is named. To be called once, by a service's main."""
    if not os.environ.get(ENDPOINT_VARIABLE):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource({"service.name": service}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _Exporting.tracer = provider.get_tracer("services.kit")
    _Exporting.shutdown = provider.shutdown


def shutdown() -> None:
    """Send what is still to be sent, and end."""
    if _Exporting.shutdown is not None:
        _Exporting.shutdown()
        _Exporting.tracer = _Exporting.shutdown = None


def trace_id() -> str | None:
    """The current trace's id as 32 hexadecimal digits, None outside of any."""
    current = trace.get_current_span().get_span_context()
    return f"{current.trace_id:032x}" if current.is_valid else None


def inject() -> dict[str, str]:
    """The current trace as `traceparent` (and `tracestate`): for the headers of a call, an outbox row, a saga's input."""
    carrier: dict[str, str] = {}
    _w3c.inject(carrier)
    return carrier


def extracted(headers: Mapping[str, str]) -> Context:
    """The trace that `headers` (their names in small letters) carry; an empty one when they carry none or a faulty one."""
    if "traceparent" not in headers:
        return _NO_TRACE
    carried = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
    return _w3c.extract(carried, _NO_TRACE)


class continued:  # noqa: N801
    """Work for the block in the trace that `headers` carry; without one a trace begins here. Gives the block its span.

    A class, as every request goes through it: a generator would cost more than what is done here.
    """

    __slots__ = ("_parent", "_span", "_token")

    def __init__(self, headers: Mapping[str, str], name: str, kind: SpanKind = SpanKind.CONSUMER) -> None:
        self._parent = parent = extracted(headers)
        tracer = _Exporting.tracer
        self._span = _named(parent) if tracer is None else tracer.start_span(name, parent, kind)

    def __enter__(self) -> Span:
        self._token: Token[Context] = context.attach(trace.set_span_in_context(self._span, self._parent))
        return self._span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, Exception):
            self._span.set_status(StatusCode.ERROR, type(error).__name__)
        self._span.end()
        context.detach(self._token)


@contextmanager
def calling(service: str, method: str) -> Iterator[None]:
    """A span around a call to another service, where spans are recorded."""
    if _Exporting.tracer is None:
        yield
        return
    with _Exporting.tracer.start_as_current_span(f"{method} {service}", kind=SpanKind.CLIENT, record_exception=False):
        yield


def answered(span: Span, method: str, route: str | None, status: int) -> None:
    """Name a request's span by what took it and what it answered."""
    if span.is_recording():
        span.update_name(f"{method} {route or 'none'}")
        span.set_attributes(
            {"http.request.method": method, "http.route": route or "", "http.response.status_code": status}
        )
        if status >= 500:
            span.set_status(StatusCode.ERROR)


def _named(parent: Context) -> Span:
    """The parent's span itself, or one that is recorded nowhere and only has ids."""
    if parent and (given := trace.get_current_span(parent)).get_span_context().is_valid:
        return given
    return NonRecordingSpan(SpanContext(random.getrandbits(128) or 1, random.getrandbits(64) or 1, is_remote=False))
