"""A warehouse of its own on the stack's ClickHouse: raw tables like the shop's, empty, and a target database."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from clickhouse_connect.driver.client import Client

from bench.mart_builds import LAYERS, connect
from pipelines.lib.captured import PREFIX, captured_tables, logs
from services.analytics.loader.tables import EVENTS
from tests.integration.dbt.shop import Shop
from tests.integration.dbt.warehouse import Warehouse


class Stack(Protocol):
    env: dict[str, str]


@pytest.fixture(scope="module")
def warehouse(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    with own_warehouse(stack, tmp_path_factory.mktemp("dbt")) as made:
        made.run("run", "--select", "config.materialized:view")
        yield made


@contextmanager
def own_warehouse(stack: Stack, folder: Path) -> Iterator[Warehouse]:
    """Raw tables like the shop's, and nothing built; dbt's artifacts in the folder."""
    with connect(stack.env) as client, _made_with(client, stack, folder) as made:
        yield made


@contextmanager
def _made_with(client: Client, stack: Stack, folder: Path) -> Iterator[Warehouse]:
    name = f"test_{secrets.token_hex(4)}"
    raw_tables = [(f"{table.source}", table.name) for table in captured_tables()]
    raw_tables += [("millrace", "batch_watermark"), ("millrace", "proofs")]
    raw_tables += [(source, table) for source, table in (log.removeprefix(PREFIX).split(".") for log in logs())]
    sources = sorted({"clickstream", *(source for source, _ in raw_tables)})
    for source in sources:
        client.command(f"create database {name}_raw_{source}")
    for source, table in raw_tables:
        client.command(f"create table {name}_raw_{source}.{table} as raw_{source}.{table}")
    client.command(EVENTS.replace("raw_clickstream", f"{name}_raw_clickstream"))
    settings = {
        "CLICKHOUSE_URL": stack.env["CLICKHOUSE_URL"],
        "CLICKHOUSE_DBT_PASSWORD": stack.env["CLICKHOUSE_DBT_PASSWORD"],
        "MILLRACE_RAW_PREFIX": f"{name}_raw_",
        "MILLRACE_ANALYTICS_DATABASE": name,
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    before = {key: os.environ.get(key) for key in settings}
    os.environ.update(settings)
    try:
        yield Warehouse(client, Shop(client, f"{name}_raw_"), name, folder)
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value
        for database in [*(f"{name}_raw_{source}" for source in sources), *(f"{name}{layer}" for layer in LAYERS)]:
            client.command(f"drop database if exists {database}")
