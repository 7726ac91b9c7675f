"""The page as an application: what it answers, and what it refuses."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.staticfiles import StaticFiles

from cdc.errors import CdcError
from cdc.page.actions import Actions
from cdc.page.doors import Doors, named_as_us
from cdc.page.render import Render
from cdc.page.watch import Watch

_ASSETS = Path(__file__).parent / "assets"
_PATIENCE = 20.0
"""Longest wait, in seconds, for a look that has seen what a button has done."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def application(doors: Doors, watch: Watch, actions: Actions) -> FastAPI:
    """The page over these; whoever serves it starts and stops the watch."""
    # It sends nobody word of itself, and describes itself to nobody: it is no API.
    app = FastAPI(openapi_url=None, telemetry={"tracing": False, "metrics": False, "logs": False})
    render = Render(doors.press)

    @app.middleware("http")
    async def close(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
        if not named_as_us(request):
            return PlainTextResponse("this page answers to 127.0.0.1 and localhost only\n", 400)
        answer = await proceed(request)
        answer.headers.update(_HEADERS)
        return answer

    @app.exception_handler(403)
    async def closed(_: Request, __: Exception) -> Response:
        return HTMLResponse(render.closed(), 403)

    app.include_router(_entrance(doors, watch, render))
    app.include_router(_views(doors, watch, render))
    app.include_router(_buttons(doors, watch, render, actions))
    app.include_router(_health(watch))
    app.mount("/assets", StaticFiles(directory=_ASSETS))
    return app


def _require(allowed: Callable[[Request], bool]) -> Callable[[Request], None]:
    def check(request: Request) -> None:
        if not allowed(request):
            raise HTTPException(403)

    return check


def _entrance(doors: Doors, watch: Watch, render: Render) -> APIRouter:
    """The page itself, and the address that opens it: the token goes from there into a cookie."""
    router = APIRouter()

    @router.get("/")
    def page(request: Request, token: Annotated[str | None, Query()] = None) -> Response:
        if token is None and doors.may_see(request):
            return HTMLResponse(render.page(watch.view()))
        if token is None or not doors.opens(token):
            raise HTTPException(403)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(doors.cookie, doors.entry, httponly=True, samesite="strict")
        return answer

    return router


def _views(doors: Doors, watch: Watch, render: Render) -> APIRouter:
    router = APIRouter(dependencies=[Depends(_require(doors.may_see))])

    @router.get("/now")
    def now() -> Response:
        return HTMLResponse(render.now(watch.view()))

    @router.get("/runbook")
    def runbook() -> Response:
        return HTMLResponse(render.runbook())

    return router


def _buttons(doors: Doors, watch: Watch, render: Render, actions: Actions) -> APIRouter:
    """Each answers the page as it is after the action, and what came of it."""
    router = APIRouter(prefix="/letters", dependencies=[Depends(_require(doors.may_press))])

    def done(action: Callable[[], str]) -> Response:
        try:
            said = action()
        except CdcError as error:
            said = f"It could not be done: {error}"
        return HTMLResponse(render.done(watch.view(newer_than=time.time(), patience=_PATIENCE), said))

    @router.post("/replay")
    def replay_all() -> Response:
        return done(lambda: actions.replay(None))

    @router.post("/{number}/replay")
    def replay(number: int) -> Response:
        return done(lambda: actions.replay([number]))

    @router.post("/{number}/drop")
    def drop(number: int) -> Response:
        return done(lambda: actions.drop(number))

    return router


def _health(watch: Watch) -> APIRouter:
    """What every process of the engine answers, to anyone."""
    router = APIRouter()

    @router.get("/readyz")
    def ready() -> Response:
        return JSONResponse({"ready": watch.is_alive()}, 200 if watch.is_alive() else 503)

    @router.get("/livez")
    def alive() -> Response:
        return JSONResponse({"ready": watch.is_alive()})

    @router.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
