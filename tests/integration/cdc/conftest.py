"""Throw-away sources on the shared stack, and the engine's settings pointed at it."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import psycopg
import pytest
from clickhouse_connect.driver.client import Client
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bench.source import ThrowAwaySource, throw_away_source
from cdc import clickhouse
from cdc import state as engine_state
from cdc.backfill.chunks import AT_ONCE
from cdc.backfill.copy import Copied, Progress, backfill
from cdc.captured import Chosen, choose
from cdc.settings import settings
from cdc.sinks.clickhouse import watermark

_numbers = count(1)

MakeSource = Callable[..., ThrowAwaySource]


@pytest.fixture
def make_source(engine: None) -> Iterator[MakeSource]:
    """Makes databases of their own, each captured only when the test says so; all are removed at the end."""
    with ExitStack() as sources:

        def make(tables: str, documents: str = "", rest: str = "") -> ThrowAwaySource:
            return sources.enter_context(throw_away_source(f"t{next(_numbers)}", tables, documents, rest))

        yield make


@pytest.fixture
def own_state(engine: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A state database of the test's own: what is captured with it the stack's sinks do not know, only those of the test."""
    name, shared = f"state{next(_numbers)}", settings().millrace_state_dsn
    owner = sql.Identifier(str(conninfo_to_dict(shared)["user"]))
    with psycopg.connect(os.environ["POSTGRES_ADMIN_DSN"], autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), owner))
        monkeypatch.setenv("MILLRACE_STATE_DSN", make_conninfo(shared, dbname=name))
        settings.cache_clear()
        try:
            yield
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    # A sink with this state has published its own limit to readers; the stack's holds again.
    with engine_state.connect(shared) as state:
        client = clickhouse.connect(os.environ["CLICKHOUSE_URL"], os.environ["CLICKHOUSE_CDC_PASSWORD"])
        watermark.publish(client, engine_state.readable_below(state))


@pytest.fixture
def target(engine: None) -> Client:
    """ClickHouse, as the engine's own user."""
    return clickhouse.engine_client(settings())


def run(source: ThrowAwaySource, *statements: str) -> None:
    """Run statements on the source, each committed on its own."""
    with psycopg.connect(source.dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def captured(source: ThrowAwaySource) -> Chosen:
    """The source as the engine knows it, with its tables."""
    with engine_state.connect(settings().millrace_state_dsn) as state:
        [chosen] = choose(state, [source.name], None)
    return chosen


def copy_again(
    source: ThrowAwaySource, progress: Progress = lambda *_: None, *, anew: bool = True, at_once: int = AT_ONCE
) -> list[Copied]:
    """Copy all tables of a captured source behind a fresh fence, or go on with what is unfinished."""
    config = settings()
    chosen = captured(source)
    return backfill(
        chosen.file,
        list(chosen.shapes),
        chosen.known.epoch,
        config.millrace_state_dsn,
        clickhouse.engine_client(config),
        progress,
        anew=anew,
        at_once=at_once,
    )


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Return once the condition holds; fail when it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.005)  # what is waited for tells nobody
