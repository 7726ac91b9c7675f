"""What happens around every request: its ids, its limits, its counts, one log line, and a problem for what went wrong.

Plain ASGI: it adds no task and no buffer. A handler is cancelled only when it takes longer than `timeout_s`.
"""

import asyncio
import logging
import re
import time
from collections.abc import Iterable, Mapping

from opentelemetry.trace import SpanKind
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kit import limits, log, metrics, position, problem, telemetry
from services.kit.ids import uuid7

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
# They come every second or so, and would drown the rest.
_UNWATCHED = frozenset({"/livez", "/readyz", "/metrics"})

_POSITION = position.HEADER.encode()
# What the kit itself reads of a request's head. One walk over the head costs less than asking for each of them.
_OWN = {
    name.encode(): name for name in ("x-request-id", "content-length", "traceparent", "tracestate", position.HEADER)
}

logger = logging.getLogger("services.request")


def _read(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers that the kit itself reads; of one that comes twice the first."""
    found: dict[str, str] = {}
    for raw, value in headers:
        if (name := _OWN.get(raw)) is not None:
            found.setdefault(name, value.decode("latin-1"))
    return found


class RequestMiddleware:
    def __init__(self, app: ASGIApp, max_body_bytes: int, timeout_s: float) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = _read(scope["headers"])
        given = headers.get("x-request-id")
        request_id = given if given is not None and _REQUEST_ID.fullmatch(given) else str(uuid7())
        place = position.Scope(headers.get(position.HEADER), writes=scope["method"] not in _SAFE)
        tokens = log.request_id.set(request_id), log.bound.set({}), position.scope.set(place)
        try:
            with telemetry.continued(headers, scope["method"], SpanKind.SERVER) as span:
                status, seconds = await self._timed(scope, receive, send, headers, request_id, place)
                method, path, route = scope["method"], scope["path"], getattr(scope.get("route"), "path", None)
                telemetry.answered(span, method, route, status)
                if path not in _UNWATCHED:
                    metrics.answered(method, route, status, seconds)
                    fields = {"method": method, "path": path, "status": status, "ms": round(seconds * 1000, 2)}
                    logger.info("request", extra={"fields": fields})
        finally:
            log.request_id.reset(tokens[0])
            log.bound.reset(tokens[1])
            position.scope.reset(tokens[2])

    async def _timed(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: Mapping[str, str],
        request_id: str,
        place: position.Scope,
    ) -> tuple[int, float]:
        """Answer the request; the status (0 when nothing was sent) and the seconds it took."""
        started = time.perf_counter()
        status = 0
        clock = asyncio.timeout(self._timeout_s)

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(b"x-request-id", request_id.encode())]
                if place.token is not None:
                    own.append((_POSITION, place.token.encode()))
                # A new list: the response's own may be sent again.
                message["headers"] = [*message.get("headers", ()), *own]
            await send(message)

        metrics.in_flight.count += 1
        try:
            length = headers.get("content-length", "0")
            if (refusal := limits.refusal(scope["headers"], length, self._max_body_bytes)) is not None:
                await problem.response(refusal, request_id)(scope, receive, marked)
            else:
                async with clock:
                    await self._app(scope, limits.bounded(receive, self._max_body_bytes), marked)
        except Exception as error:
            if isinstance(error, TimeoutError) and clock.expired():
                logger.warning("the request was given up after %s s", self._timeout_s)
                error = self._timed_out()
            else:
                logger.exception("unexpected error")
            if status == 0:
                await problem.response(problem.from_exception(error), request_id)(scope, receive, marked)
        finally:
            metrics.in_flight.count -= 1
        return status, time.perf_counter() - started

    def _timed_out(self) -> problem.TimedOut:
        return problem.TimedOut(
            f"the request took longer than {self._timeout_s:g} s; whether it took effect is not known: ask, then repeat it"
        )
