"""The shell of a service: health, metrics, ids, logs, limits, problem documents; the routes are the service's own.

GET /livez    200 while the process runs
GET /readyz   200 when everything in `app.state.checks` answers, 503 naming what does not
GET /metrics  Prometheus' text format
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import psycopg
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from services.kit import conditional, log, metrics, position, problem
from services.kit.auth import open_to_anyone
from services.kit.declarations import describe, require_declarations
from services.kit.health import Check, health
from services.kit.limits import DEFAULT_MAX_BODY_BYTES
from services.kit.middleware import RequestMiddleware
from services.kit.server import serve

__all__ = ["Check", "Wiring", "application", "serve"]

Wiring = Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, Check]]]

# Longer than any handler's own deadlines: whoever meets it has met a fault.
REQUEST_TIMEOUT_S = 60.0

logger = logging.getLogger("services.request")


class _Service(FastAPI):
    """FastAPI whose OpenAPI document knows the problem document and X-Commit-LSN."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            schema = problem.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(schema.pop("$defs", {}))
            schemas["Problem"] = schema
            describe(self, document)
            document["components"]["schemas"] = dict(sorted(schemas.items()))
            position.describe(document["paths"])
        return self.openapi_schema or {}


async def _answer(request: Request, error: Exception) -> Response:
    answer = problem.from_exception(error)
    if answer.status >= 500:
        logger.warning("%s: %s", answer.detail, error.__cause__ or error)
    response = problem.response(answer, log.request_id.get())
    if answer.status == 405:
        response.headers["allow"] = ", ".join(_allowed(request))
    return response


def _allowed(request: Request) -> list[str]:
    """The methods that the path knows; the router itself names those of one route only."""
    routes: list[BaseRoute] = request.app.routes
    return [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


def application(
    name: str,
    router: APIRouter,
    wiring: Wiring | None = None,
    *,
    max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    timeout_s: float = REQUEST_TIMEOUT_S,
    strict: bool = False,
) -> FastAPI:
    """The service's app. `wiring` opens what it needs, puts it into `app.state` and yields the readiness checks;
    without it the app describes itself (OpenAPI) and serves nothing else. A `strict` one does not start when a route
    does not say who may call it (services.kit.auth)."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if strict:
            require_declarations(app)
        if wiring is None:
            app.state.checks = {}
            yield
            return
        async with wiring(app) as checks:
            app.state.checks = checks
            yield

    app = _Service(
        title=f"millrace {name}",
        version="1",
        lifespan=lifespan,
        # The kit's middleware does this, and cheaper (services/kit/telemetry.py).
        telemetry={"tracing": False, "metrics": False, "logs": False},
        responses=problem.declared(400, 413, 422, 431, 500, 503),
        generate_unique_id_function=lambda route: route.name,
    )
    app.include_router(router)
    app.include_router(health)
    app.add_route("/metrics", open_to_anyone(metrics.show), include_in_schema=False)
    app.add_middleware(RequestMiddleware, max_body_bytes=max_body_bytes, timeout_s=timeout_s)
    app.add_exception_handler(conditional.NotModified, conditional.not_modified)
    for kind in (problem.ProblemError, RequestValidationError, HTTPException, psycopg.Error, RedisError):
        app.add_exception_handler(kind, _answer)
    return app
