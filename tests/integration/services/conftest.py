"""The running stack's shop, and a few of its things that tests may change as they like."""

from collections.abc import Callable, Iterator
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from services.kit.migrate import complete
from tests.integration.services.people import Person, new_person
from tests.integration.services.shop import Shop, Stack

NO_COOKIES = DefaultCookiePolicy(allowed_domains=[])


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


@pytest.fixture(scope="module")
def payments_dsn(stack: Stack) -> Iterator[str]:
    """A payments database of the module's own, as the service's role: what holds of all of it can be asked."""
    name = Identifier(f"test_{uuid4().hex}")
    with psycopg.connect(stack.env["POSTGRES_ADMIN_DSN"], autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {} OWNER payments").format(name))
        # The disk of a test machine is not what is tested here.
        admin.execute(SQL("ALTER DATABASE {} SET synchronous_commit = off").format(name))
        dsn = make_conninfo(stack.env["PAYMENTS_DSN"], dbname=name.as_string().strip('"'))
        complete(dsn, "payments")
        yield dsn
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.fixture
def people(shop: Shop) -> Iterator[Callable[..., Person]]:
    """Makes people: `people()` is a customer, `people("admin")` has this role."""
    with httpx.Client(timeout=30, trust_env=False) as http:
        # A browser would keep the cookies of one person; these clients show each what it was given.
        http.cookies.jar.set_policy(NO_COOKIES)
        yield lambda *roles: new_person(shop, http, *roles)
