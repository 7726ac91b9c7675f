"""Logs as one JSON object a line on stdout, each with the ids of the request and the trace it belongs to.

`bind(order_id=...)` gives further ids to every later line of the same request. Values are ids, never personal data.
"""

import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

import orjson

from services.kit import telemetry

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
_NOTHING: dict[str, object] = {}
bound: ContextVar[dict[str, object]] = ContextVar("bound", default=_NOTHING)


def bind(**fields: object) -> None:
    """Add fields to every further line of this request or task, also those of tasks that it starts."""
    bound.set({**bound.get(), **fields})


class JsonLines(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
            "trace_id": telemetry.trace_id(),
            **bound.get(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def configure(service: str) -> None:
    """Send every log line of this process to stdout as JSON. To be called once, by a service's main."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(service))
    # No line tells its thread, process or place in the code, and looking for them costs each a good part of its time.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # httpx tells of every call it makes; the callee's own line already does.
    logging.getLogger("httpx").setLevel(logging.WARNING)
