"""The running stack's shop, and a few of its things that tests may change as they like."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.services.shop import Shop, Stack


@pytest.fixture(scope="session")
def shop(stack: Stack) -> Iterator[Shop]:
    with Shop(stack.env) as opened:
        yield opened


@pytest.fixture
def user(shop: Shop) -> str:
    return shop.user()


@pytest.fixture(scope="session")
def category(shop: Shop) -> dict[str, Any]:
    return shop.category()


@pytest.fixture
def product(shop: Shop, category: dict[str, Any]) -> dict[str, Any]:
    """12.50 EUR, ten pieces."""
    return shop.product(category["id"])
