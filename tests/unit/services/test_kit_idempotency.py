"""What is refused before an Idempotency-Key reaches the database."""

import asyncio
from types import SimpleNamespace

import httpx
import pytest
from fastapi import APIRouter

from services.kit import idempotency
from services.kit.http import application
from services.kit.idempotency import fingerprint

router = APIRouter()


@router.post("/payments")
async def pay(once: idempotency.Required) -> str | None:
    return None if once.key is None else once.key.key


@router.post("/notes")
async def note(once: idempotency.Optional) -> str | None:
    return None if once.key is None else once.key.key


def post(path: str, key: str | None) -> httpx.Response:
    async def run() -> httpx.Response:
        app = application("test", router)
        app.state.database = SimpleNamespace(primary=None, key=b"k")
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.post(path, headers=[] if key is None else [(b"idempotency-key", key.encode())])

    return asyncio.run(run())


def test_a_key_is_needed_where_it_is_required_and_only_there() -> None:
    response = post("/payments", None)
    assert (response.status_code, response.json()["type"]) == (400, "urn:millrace:problem:idempotency-key-missing")
    assert post("/notes", None).json() is None


@pytest.mark.parametrize("key", ["", '""', "a b", '"a', 'a"', "x" * 256, "é"])
def test_a_malformed_key_is_refused(key: str) -> None:
    response = post("/notes", key)
    assert (response.status_code, response.json()["type"]) == (400, "urn:millrace:problem:malformed-header")


@pytest.mark.parametrize(
    ("sent", "meant"), [("abc", "abc"), ('"abc"', "abc"), ('"a b"', "a b"), ("x" * 255, "x" * 255)]
)
def test_quotes_are_not_part_of_a_key(sent: str, meant: str) -> None:
    assert post("/payments", sent).json() == meant


def test_a_fingerprint_tells_method_path_and_body_apart() -> None:
    requests = [
        ("POST", "/a?", b"b"),
        ("PUT", "/a?", b"b"),
        ("POST", "/a?c", b"b"),
        ("POST", "/a?", b"c"),
        ("POST", "/a", b"?b"),
    ]
    assert len({fingerprint(secret, *request) for secret in (b"s", b"t") for request in requests}) == 2 * len(requests)
