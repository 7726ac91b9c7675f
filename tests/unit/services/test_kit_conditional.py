"""ETag, If-Match and If-None-Match, on an app of the test's own."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Response
from pydantic import BaseModel

from services.kit import conditional
from services.kit.conditional import IfMatch, IfNoneMatch, etag, versions
from services.kit.http import application
from services.kit.problem import MalformedHeader

router = APIRouter()


class Thing(BaseModel):
    version: int


@router.get("/thing")
async def read(reader: IfNoneMatch) -> Thing:
    return reader.show(Thing(version=7))


@router.put("/thing")
async def write(match: IfMatch, response: Response) -> Thing:
    if match.expected is not None and 7 not in match.expected:
        raise match.failed()
    return conditional.tag(response, Thing(version=8))


def call(method: str, **headers: str) -> httpx.Response:
    async def run() -> httpx.Response:
        app = application("test", router)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
        ):
            return await client.request(
                method, "/thing", headers={name.replace("_", "-"): value for name, value in headers.items()}
            )

    return asyncio.run(run())


@pytest.mark.parametrize("known", ['"7"', 'W/"7"', '"6", "7"', "*"])
def test_what_the_caller_has_is_not_sent_again(known: str) -> None:
    response = call("GET", if_none_match=known)
    assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", '"7"')


@pytest.mark.parametrize("known", ['"6"', '"x"', '""', '"7-00aa11"'])
def test_another_version_is_sent_with_its_tag(known: str) -> None:
    response = call("GET", if_none_match=known)
    assert (response.status_code, response.json(), response.headers["etag"]) == (200, {"version": 7}, '"7"')


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({}, 428, "precondition-required"),
        ({"if_match": '"6"'}, 412, "precondition-failed"),
        ({"if_match": 'W/"7"'}, 412, "precondition-failed"),
        ({"if_match": "7"}, 400, "malformed-header"),
        ({"if_match": ""}, 400, "malformed-header"),
    ],
)
def test_a_change_of_an_unseen_version_is_refused(headers: dict[str, str], status: int, kind: str) -> None:
    response = call("PUT", **headers)
    assert (response.status_code, response.json()["type"]) == (status, f"urn:millrace:problem:{kind}")


@pytest.mark.parametrize("expected", ['"7"', '"6","7"', '"7-00aa11"', "*"])
def test_a_change_of_the_seen_version_gets_the_new_tag(expected: str) -> None:
    response = call("PUT", if_match=expected)
    assert (response.status_code, response.headers["etag"]) == (200, '"8"')


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('"1"', [1]),
        (' "1" , W/"2" ', [1]),
        ('"3-0a", "4-", "5-x"', [3]),
        ('"01"', []),
        ('"99999999999999999999"', []),
        ("*", None),
    ],
)
def test_tags_that_no_version_can_have_match_nothing(header: str, found: list[int] | None) -> None:
    assert versions(header, weak=False) == found


def test_a_digest_tells_what_is_shown_apart() -> None:
    assert etag(3) == '"3"'
    assert etag(3, b"a") == etag(3, b"a") != etag(3, b"b")
    assert versions(etag(3, b"a"), weak=False) == [3]
    assert versions(etag(3, b"a"), weak=True) == []


@pytest.mark.parametrize("header", ["", "1", '"1', '"1" "2"', '"1",', "**", '"a b"', '"' * 9000])
def test_what_is_no_tag_is_refused(header: str) -> None:
    with pytest.raises(MalformedHeader):
        versions(header, weak=True)


def test_the_document_tells_of_the_headers() -> None:
    document: dict[str, Any] = application("test", router).openapi()["paths"]["/thing"]
    assert [parameter["name"] for parameter in document["get"]["parameters"]] == ["If-None-Match"]
    assert [parameter["name"] for parameter in document["put"]["parameters"]] == ["If-Match"]
