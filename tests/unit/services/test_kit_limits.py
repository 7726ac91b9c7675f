"""Limits of requests: what is over one is refused by a documented problem, whatever the route."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Request

from services.kit.http import application
from services.kit.limits import MAX_HEADER_BYTES, MAX_HEADERS, MAX_JSON_DEPTH, too_deep

router = APIRouter()


@router.post("/anything")
async def take(body: dict[str, Any] | list[Any]) -> int:
    return len(body)


@router.post("/never")
async def never() -> None:
    await asyncio.Event().wait()


@router.post("/own")
async def own(request: Request) -> None:
    raise TimeoutError("a fault of the handler, not of the clock")


def call(path: str, **request: Any) -> httpx.Response:
    async def run() -> httpx.Response:
        app = application("test", router, timeout_s=0.05 if path == "/never" else 60.0)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.post(path, **request)

    return asyncio.run(run())


def refused(response: httpx.Response, status: int, kind: str) -> bool:
    document = response.json()
    return (response.status_code, document["type"]) == (status, f"urn:millrace:problem:{kind}")


def test_of_a_header_that_comes_twice_the_first_counts() -> None:
    answer = call("/anything", json={}, headers=[("X-Request-Id", "one"), ("X-Request-Id", "two")])
    assert answer.headers.get_list("x-request-id") == ["one"]


@pytest.mark.parametrize("shape", ["[{}]", '{{"a": {}}}'])
def test_json_may_nest_so_deep_and_no_deeper(shape: str) -> None:
    def nested(depth: int) -> str:
        body = "1"
        for _ in range(depth):
            body = shape.format(body)
        return body

    json = {"content-type": "application/json"}
    assert call("/anything", content=nested(MAX_JSON_DEPTH), headers=json).status_code == 200
    assert refused(call("/anything", content=nested(MAX_JSON_DEPTH + 1), headers=json), 400, "malformed-body")
    assert refused(call("/anything", content=nested(20_000), headers=json), 400, "malformed-body")


@pytest.mark.parametrize(
    ("body", "deep"),
    [
        (b'"' + b"[" * 100 + b'"', False),
        (b'["\\"' + b"[" * 100 + b'"]', False),
        (b"[1]," * 100, False),
        (b'"\\\\"' + b"[" * 33, True),
        (b'"' + b"[" * 100, True),
        (b"{" * 16 + b"[" * 17, True),
    ],
)
def test_brackets_in_strings_do_not_count(body: bytes, deep: bool) -> None:
    assert too_deep(body) == deep


def test_many_and_long_headers_are_refused() -> None:
    many = {f"x-{number}": "a" for number in range(MAX_HEADERS)}
    assert refused(call("/anything", json=[], headers=many), 431, "headers-too-large")
    assert refused(call("/anything", json=[], headers={"x-long": "a" * MAX_HEADER_BYTES}), 431, "headers-too-large")
    assert call("/anything", json=[], headers={"x-long": "a" * 8000}).status_code == 200


def test_a_request_that_never_ends_is_given_up() -> None:
    response = call("/never")
    assert refused(response, 503, "timed-out")
    assert response.headers["retry-after"] == "1"


def test_a_time_out_of_the_handlers_own_is_a_fault() -> None:
    assert refused(call("/own"), 500, "unexpected")
