"""Throw-away sources on the shared stack, and the engine's settings pointed at it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import psycopg
import pytest
from clickhouse_connect.driver.client import Client

from bench.source import ThrowAwaySource, throw_away_source
from cdc import clickhouse
from cdc.settings import settings

_numbers = count(1)

MakeSource = Callable[..., ThrowAwaySource]


@pytest.fixture
def make_source(engine: None) -> Iterator[MakeSource]:
    """Makes databases of their own, each captured only when the test says so; all are removed at the end."""
    with ExitStack() as sources:

        def make(tables: str, documents: str = "") -> ThrowAwaySource:
            return sources.enter_context(throw_away_source(f"t{next(_numbers)}", tables, documents))

        yield make


@pytest.fixture
def target(engine: None) -> Client:
    """ClickHouse, as the engine's own user."""
    return clickhouse.connect(settings().clickhouse_url, settings().clickhouse_cdc_password)


def run(source: ThrowAwaySource, *statements: str) -> None:
    """Run statements on the source, each committed on its own."""
    with psycopg.connect(source.dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())
