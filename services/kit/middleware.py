"""What happens around every request: an id, a bound on the body, one log line, and a problem for whatever went wrong.

Plain ASGI: it adds no task and no buffer, so a handler is neither cancelled nor delayed by it.
"""

import logging
import re
import time

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.kit import log, problem
from services.kit.ids import uuid7

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# Health checks come every second or so and would drown the rest.
_UNLOGGED = frozenset({"/livez", "/readyz"})

logger = logging.getLogger("services.request")


class RequestMiddleware:
    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid7())
        token = log.request_id.set(request_id)
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            if (length := headers.get("content-length", "0")).isdecimal() and int(length) > self._max_body_bytes:
                refusal = problem.response(self._too_large(), request_id)
                await refusal(scope, receive, send_with_id)
            else:
                await self._app(scope, self._bounded(receive), send_with_id)
        except Exception as error:
            logger.exception("unexpected error")
            if status == 0:
                await problem.response(problem.from_exception(error), request_id)(scope, receive, send_with_id)
        finally:
            if scope["path"] not in _UNLOGGED:
                fields = {
                    "method": scope["method"],
                    "path": scope["path"],
                    "status": status,
                    "ms": round((time.perf_counter() - started) * 1000, 2),
                }
                logger.info("request", extra={"fields": fields})
            log.request_id.reset(token)

    def _too_large(self) -> problem.TooLarge:
        return problem.TooLarge(f"the body is larger than {self._max_body_bytes} bytes; send less at once")

    def _bounded(self, receive: Receive) -> Receive:
        """`receive` that refuses a body which grows over the limit without having announced its length."""
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise HTTPException(413, self._too_large().detail)
            return message

        return bounded
