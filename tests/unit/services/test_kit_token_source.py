"""A service's own token: fetched once, renewed in time, fetched anew when it is refused."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from services.kit.client import CallRefused, CallUnavailable, ServiceClient
from services.kit.token_source import TokenRefused, TokenSource


class Sessions:
    """An app that gives tokens `t1`, `t2`, ... and takes those that are in `good`; both services in one."""

    def __init__(self, status: int = 200, expires_in: int = 300, good: Callable[[str], bool] = lambda _: True) -> None:
        self.status, self.expires_in, self.good = status, expires_in, good
        self.given = 0
        self.bodies: list[Any] = []
        self.app = FastAPI()
        self.app.post("/tokens")(self.give)
        self.app.post("/echo")(self.echo)

    async def give(self, request: Request) -> Response:
        self.given += 1
        assert "authorization" not in request.headers
        self.bodies.append(await request.json())
        return JSONResponse({"access_token": f"t{self.given}", "expires_in": self.expires_in}, self.status)

    async def echo(self, request: Request) -> Response:
        token = request.headers["authorization"].removeprefix("Bearer ")
        if not self.good(token):
            return Response(status_code=401)
        return JSONResponse({"token": token, "body": await request.json()})


def ask(sessions: Sessions, times: int = 1) -> list[httpx.Response]:
    async def run() -> list[httpx.Response]:
        auth = TokenSource("http://sessions", "orders", "secret")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(sessions.app), auth=auth) as http:
            return [await http.post("http://users/echo", json={"n": n}) for n in range(times)]

    return asyncio.run(run())


def test_one_token_serves_many_calls() -> None:
    sessions = Sessions()
    answers = ask(sessions, 3)
    assert [answer.json() for answer in answers] == [{"token": "t1", "body": {"n": n}} for n in range(3)]
    assert sessions.bodies == [{"grant": "client_credentials", "client_id": "orders", "client_secret": "secret"}]


def test_a_token_is_renewed_before_it_expires() -> None:
    assert [answer.json()["token"] for answer in ask(Sessions(expires_in=29), 2)] == ["t1", "t2"]


def test_a_refused_token_is_fetched_anew_once() -> None:
    sessions = Sessions(good=lambda token: token != "t1")
    assert [answer.json()["token"] for answer in ask(sessions, 2)] == ["t2", "t2"]
    nobodys = Sessions(good=lambda _: False)
    assert [answer.status_code for answer in ask(nobodys)] == [401]
    assert nobodys.given == 2


@pytest.mark.parametrize(
    ("status", "error"), [(401, TokenRefused), (500, httpx.TransportError), (429, httpx.TransportError)]
)
def test_without_a_token_nothing_is_called(status: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        ask(Sessions(status))


def test_a_client_whose_token_cannot_be_had_is_told_to_try_again() -> None:
    async def run() -> None:
        auth = TokenSource("http://127.0.0.1:1", "orders", "secret")
        async with ServiceClient("users", "http://127.0.0.1:1", auth=auth) as users:
            await users.call("GET", "/users", attempts=1)

    with pytest.raises(CallUnavailable):
        asyncio.run(run())


@pytest.mark.parametrize("slug", ["unauthorized", "invalid-token", "forbidden", "too-many-requests"])
def test_not_being_let_in_says_nothing_about_what_was_asked(slug: str) -> None:
    with pytest.raises(CallUnavailable):
        refused_with(slug)


def test_what_is_refused_for_good_is_not_asked_again() -> None:
    with pytest.raises(CallRefused) as refusal:
        refused_with("wrong-credentials")
    assert (refusal.value.answered, refusal.value.kind) == (403, "wrong-credentials")


def refused_with(slug: str) -> None:
    """Call a service that answers 403 with this kind of problem."""

    app = FastAPI()

    @app.get("/users")
    async def answer() -> Response:
        return JSONResponse({"type": f"urn:millrace:problem:{slug}", "detail": "no"}, 403)

    async def run() -> None:
        users = ServiceClient("users", "http://users")
        users._http = httpx.AsyncClient(base_url="http://users", transport=httpx.ASGITransport(app))
        async with users:
            await users.call("GET", "/users", attempts=1)

    asyncio.run(run())
