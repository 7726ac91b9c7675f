"""Databases of a history's own, made by the services' migrations: the shop of the other tests is left alone."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from services.kit.migrate import complete
from stack.simulate.databases import NAMES
from tests.conftest import Stack

Dsns = Mapping[str, str]

# Of the sagas' engine, which makes its tables when the service starts: no saga is at work.
_NO_SAGAS = """
    CREATE SCHEMA dbos;
    CREATE TABLE dbos.workflow_status (workflow_uuid text PRIMARY KEY, status text)"""


@pytest.fixture(scope="module")
def databases(stack: Stack) -> Iterator[Callable[[], Dsns]]:
    """Makes another four empty databases at each call, as the services' roles see them."""
    with ExitStack() as made:
        yield lambda: {name: made.enter_context(_database(stack, name)) for name in NAMES}


@contextmanager
def _database(stack: Stack, service: str) -> Iterator[str]:
    name = f"test_{service}_{uuid4().hex[:12]}"
    with psycopg.connect(stack.env["POSTGRES_ADMIN_DSN"], autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {} OWNER {}").format(Identifier(name), Identifier(service)))
        dsn = make_conninfo(stack.env[f"{service.upper()}_DSN"], dbname=name)
        try:
            complete(dsn, service)
            if service == "orders":
                with psycopg.connect(dsn) as connection:
                    connection.execute(_NO_SAGAS)
            yield dsn
        finally:
            admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))
