"""The checked-in OpenAPI documents say what the apps do; `python -m services.kit.openapi` rewrites them."""

import json

import pytest

from services.kit.openapi import SERVICES, document

OURS = ["analytics", "orders", "payments", "products", "sessions", "users"]


@pytest.mark.parametrize("name", OURS)
def test_the_document_is_up_to_date(name: str) -> None:
    assert (SERVICES / name / "openapi.json").read_text(encoding="utf-8") == document(name)


@pytest.mark.parametrize("name", OURS)
def test_every_route_declares_its_problems(name: str) -> None:
    paths = json.loads(document(name))["paths"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            declared = operation["responses"]
            assert {"422", "500", "503"} <= set(declared), (method, path)
            assert "application/problem+json" in declared["422"]["content"], (method, path)
            if "{" in path and path.count("/") == 2:
                assert "404" in declared, (method, path)
