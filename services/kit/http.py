"""The shell of a service: health, request ids, logs, limits, problem documents; the routes are the service's own.

GET /livez   200 while the process runs
GET /readyz  200 when everything in `app.state.checks` answers, 503 naming what does not
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import psycopg
import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from services.kit import log, problem
from services.kit.middleware import RequestMiddleware

Check = Callable[[], Awaitable[None]]
Wiring = Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, Check]]]

DEFAULT_MAX_BODY_BYTES = 256 * 1024
# In-flight requests get this long after SIGTERM; the supervisor kills later than that.
GRACE_S = 10
# Longer than the callers keep an idle connection, so that the server never closes one that a request is being sent on.
KEEP_ALIVE_S = 30

logger = logging.getLogger("services.request")
health = APIRouter(tags=["health"])


class Liveness(BaseModel):
    status: str


class Readiness(BaseModel):
    status: str
    checks: dict[str, str]


@health.get("/livez", operation_id="livez")
async def livez() -> Liveness:
    """The process runs."""
    return Liveness(status="ok")


@health.get("/readyz", operation_id="readyz", responses={503: {"model": Readiness}})
async def readyz(request: Request) -> Readiness:
    """Everything that the service needs answers."""
    checks: Mapping[str, Check] = request.app.state.checks
    answers = await asyncio.gather(*(check() for check in checks.values()), return_exceptions=True)
    states = {
        name: "ok" if answer is None else f"failed: {type(answer).__name__}"
        for name, answer in zip(checks, answers, strict=True)
    }
    ready = Readiness(status="ok" if all(s == "ok" for s in states.values()) else "failed", checks=states)
    if ready.status != "ok":
        return JSONResponse(ready.model_dump(), 503)  # type: ignore[return-value]
    return ready


class _Service(FastAPI):
    """FastAPI whose OpenAPI document knows the problem document."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            schema = problem.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas.update(schema.pop("$defs", {}))
            schemas["Problem"] = schema
            document["components"]["schemas"] = dict(sorted(schemas.items()))
        return self.openapi_schema or {}


async def _answer(_: Request, error: Exception) -> Response:
    answer = problem.from_exception(error)
    if answer.status >= 500:
        logger.warning("%s: %s", answer.detail, error.__cause__ or error)
    return problem.response(answer, log.request_id.get())


def application(
    name: str, router: APIRouter, wiring: Wiring | None = None, *, max_body_bytes: int = DEFAULT_MAX_BODY_BYTES
) -> FastAPI:
    """The service's app. `wiring` opens what it needs, puts it into `app.state` and yields the readiness checks;
    without it the app describes itself (OpenAPI) and serves nothing else."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
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
        responses=problem.declared(400, 413, 422, 500, 503),
        generate_unique_id_function=lambda route: route.name,
    )
    app.include_router(router)
    app.include_router(health)
    app.add_middleware(RequestMiddleware, max_body_bytes=max_body_bytes)
    for kind in (problem.ProblemError, RequestValidationError, HTTPException, psycopg.Error):
        app.add_exception_handler(kind, _answer)
    return app


def serve(name: str, app: FastAPI, port: int) -> None:
    """Run the app on 127.0.0.1:`port` until SIGTERM or SIGINT, then finish what is in flight."""
    log.configure(name)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
