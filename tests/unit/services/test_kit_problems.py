"""Problem documents and the shell around requests, on an app of the test's own."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psycopg
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import model_validator

from services.kit.http import Check, application
from services.kit.problem import Conflict, NotFound
from services.kit.schema import Input, Quantity, broken

router = APIRouter()


class Body(Input):
    quantity: Quantity


ERRORS: dict[str, Exception] = {
    "missing": NotFound("there is no such thing"),
    "conflict": Conflict("taken", by="another"),
    "bug": ZeroDivisionError("secret of the inside"),
    "value": psycopg.errors.NumericValueOutOfRange("secret of the inside"),
    "check": psycopg.errors.CheckViolation("secret of the inside"),
    "unique": psycopg.errors.UniqueViolation("secret of the inside"),
    "down": psycopg.OperationalError("secret of the inside"),
}


class Range(Input):
    first: int
    last: int

    @model_validator(mode="after")
    def _in_order(self) -> "Range":
        if self.first > self.last:
            raise broken("first is after last")
        return self


@router.post("/ranges")
async def take_range(body: Range) -> Range:
    return body


@router.post("/things")
async def take(body: Body) -> Body:
    return body


@router.get("/things")
async def show() -> None:
    pass


@router.get("/errors/{name}")
async def fail(name: str) -> None:
    raise ERRORS[name]


@asynccontextmanager
async def wiring(_: FastAPI) -> AsyncIterator[Mapping[str, Check]]:
    async def down() -> None:
        raise psycopg.OperationalError("no answer")

    yield {"database": down}


def call(method: str, path: str, **request: Any) -> httpx.Response:
    async def run() -> httpx.Response:
        app = application("test", router, wiring, max_body_bytes=1000)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
        ):
            return await client.request(method, path, **request)

    return asyncio.run(run())


def problem(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == response.status_code
    assert document["request_id"] == response.headers["x-request-id"]
    return document


@pytest.mark.parametrize(
    ("name", "status", "kind"),
    [
        ("missing", 404, "not-found"),
        ("conflict", 409, "conflict"),
        ("bug", 500, "unexpected"),
        ("value", 422, "invalid-request"),
        ("check", 422, "invalid-request"),
        ("unique", 409, "conflict"),
        ("down", 503, "unavailable"),
    ],
)
def test_errors_are_problems_without_internals(name: str, status: int, kind: str) -> None:
    response = call("GET", f"/errors/{name}")
    document = problem(response)
    assert (document["status"], document["type"]) == (status, f"urn:millrace:problem:{kind}")
    assert "secret" not in response.text
    assert ("retry-after" in response.headers) == (status == 503)


def test_a_problem_carries_its_members() -> None:
    assert problem(call("GET", "/errors/conflict"))["by"] == "another"


def test_a_faulty_field_is_named() -> None:
    document = problem(call("POST", "/things", json={"quantity": -1}))
    assert document["type"] == "urn:millrace:problem:invalid-request"
    assert [fault["field"] for fault in document["errors"]] == ["body.quantity"]


def test_faults_are_few_and_printable_whatever_the_body_holds() -> None:
    members = ",".join(f'"\\ud800{"x" * 300}{number}": 1' for number in range(3))
    document = problem(
        call("POST", "/things", content="{" + members + "}", headers={"content-type": "application/json"})
    )
    assert document["status"] == 422
    assert all(len(fault["field"]) <= 200 for fault in document["errors"])


@pytest.mark.parametrize("content", [b"{", b"", b'{"quantity": 1,}', b'{"quantity": "\xff"}', b"[" * 900])
def test_what_is_not_json_is_malformed(content: bytes) -> None:
    response = call("POST", "/things", content=content, headers={"content-type": "application/json"})
    assert problem(response)["status"] in (400, 422)


def test_a_large_body_is_refused_with_or_without_its_length() -> None:
    assert problem(call("POST", "/things", content=b" " * 1001))["type"].endswith(":body-too-large")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b" " * 100

    response = call("POST", "/things", content=chunks(), headers={"content-type": "application/json"})
    assert problem(response)["type"].endswith(":body-too-large")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nowhere", 404), ("DELETE", "/things", 405)])
def test_the_frameworks_own_refusals_are_problems_too(method: str, path: str, status: int) -> None:
    response = call(method, path)
    assert problem(response)["status"] == status
    assert response.headers.get("allow") == ("GET, POST" if status == 405 else None)


@pytest.mark.parametrize(("given", "kept"), [("abc-1", True), ("bad id\n", False), ("x" * 65, False)])
def test_a_request_id_is_kept_when_it_is_harmless(given: str, kept: bool) -> None:
    response = call("GET", "/livez", headers=[(b"x-request-id", given.encode())])
    assert (response.headers["x-request-id"] == given) == kept


def test_readiness_names_what_does_not_answer() -> None:
    response = call("GET", "/readyz")
    assert response.status_code == 503
    assert response.json() == {"status": "failed", "checks": {"database": "failed: OperationalError"}}
    assert call("GET", "/livez").json() == {"status": "ok"}


def test_a_rule_between_members_has_a_kind_of_its_own() -> None:
    document = problem(call("POST", "/ranges", json={"first": 2, "last": 1}))
    assert (document["type"], document["status"]) == ("urn:millrace:problem:rule-broken", 422)
    assert document["errors"] == [{"field": "body", "message": "first is after last"}]
    document = problem(call("POST", "/ranges", json={"first": "x", "last": 1}))
    assert document["type"] == "urn:millrace:problem:invalid-request"
