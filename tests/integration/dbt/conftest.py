"""A warehouse of its own on the stack's ClickHouse: raw tables like the shop's, empty, and a target database."""

import os
import secrets
from collections.abc import Iterator
from typing import Protocol
from urllib.parse import urlsplit

import clickhouse_connect
import pytest

from pipelines.lib.captured import captured_tables
from tests.integration.dbt.shop import Shop
from tests.integration.dbt.warehouse import Warehouse

LAYERS = ("", "_staging", "_intermediate")


class Stack(Protocol):
    env: dict[str, str]


@pytest.fixture(scope="module")
def warehouse(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    address = urlsplit(stack.env["CLICKHOUSE_URL"])
    client = clickhouse_connect.get_client(
        host=address.hostname or "",
        port=address.port or 0,
        username="dbt",
        password=stack.env["CLICKHOUSE_DBT_PASSWORD"],
    )
    name = f"test_{secrets.token_hex(4)}"
    raw_tables = [(f"{table.source}", table.name) for table in captured_tables()] + [("millrace", "batch_watermark")]
    sources = sorted({source for source, _ in raw_tables})
    for source in sources:
        client.command(f"create database {name}_raw_{source}")
    for source, table in raw_tables:
        client.command(f"create table {name}_raw_{source}.{table} as raw_{source}.{table}")
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
        warehouse = Warehouse(client, Shop(client, f"{name}_raw_"), name, tmp_path_factory.mktemp("dbt"))
        warehouse.run("run", "--select", "config.materialized:view")
        yield warehouse
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value
        for database in [*(f"{name}_raw_{source}" for source in sources), *(f"{name}{layer}" for layer in LAYERS)]:
            client.command(f"drop database if exists {database}")
        client.close()
