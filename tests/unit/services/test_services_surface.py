"""What the services' documents and routers promise about headers, methods and empty parameters."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from services.kit.openapi import document, names
from services.payments.api import build


def operations(name: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, found in json.loads(document(name))["paths"].items():
        for method, operation in found.items():
            yield method, path, {parameter["name"]: parameter for parameter in operation.get("parameters", [])}


@pytest.mark.parametrize("name", names())
def test_what_is_refused_when_it_is_missing_is_required(name: str) -> None:
    for method, path, parameters in operations(name):
        if "If-Match" in parameters:
            assert parameters["If-Match"]["required"], (method, path)
        key = parameters.get("Idempotency-Key")
        if key is not None:
            assert key["required"] == key["description"].startswith("required"), (method, path)
        assert "x-required" not in json.dumps(parameters), (method, path)


@pytest.mark.parametrize("name", names())
def test_a_position_is_taken_by_the_lists_of_databases_only(name: str) -> None:
    taking = {path for _, path, parameters in operations(name) if "X-Commit-LSN" in parameters}
    paged = {path for _, path, parameters in operations(name) if "cursor" in parameters}
    assert taking == (set() if name == "search" else paged)


def test_the_search_says_that_its_filters_may_be_empty() -> None:
    parameters = {path: parameters for _, path, parameters in operations("search")}
    for path, free in (("/search", {"q", "X-Session-Id"}), ("/search/all", {"q"})):
        for name in parameters[path].keys() - free:
            assert {"const": "", "type": "string"} in parameters[path][name]["schema"]["anyOf"], (path, name)


def test_a_command_is_no_payment() -> None:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(build())
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/payments/void")

    answer = asyncio.run(ask())
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
