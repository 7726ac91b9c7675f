"""The analytics service in a thread of the test, on parts of the test's choosing."""

import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import uvicorn
import yaml
from clickhouse_connect.driver.client import Client
from fastapi import FastAPI

from cdc import clickhouse
from services.analytics.api import build
from services.analytics.clickhouse import Warehouse
from services.analytics.recorder import Recorder
from services.analytics.service import Analytics
from services.kit.door import door
from services.kit.http import Check
from services.kit.token_source import TokenSource

MARTS = Path(__file__).parents[3] / "dbt" / "models" / "marts"
DATABASE = "analytics_trial"


def operator(env: Mapping[str, str]) -> httpx.Auth:
    """The stack's simulated merchant, who may tell for all visitors and read all numbers."""
    return TokenSource(env["SESSIONS_URL"], "demo", env["DEMO_CLIENT_SECRET"])


def make(client: Client, folder: str, mart: str) -> None:
    """The mart, empty, with the columns and types of its contract."""
    models = yaml.safe_load((MARTS / folder / "_models.yml").read_text())["models"]
    columns = next(model["columns"] for model in models if model["name"] == mart)
    told = ", ".join(f"{column['name']} {column['data_type']}" for column in columns)
    client.command(f"CREATE TABLE {DATABASE}.{mart} ({told}) ENGINE = MergeTree ORDER BY tuple()")


@contextmanager
def trial_marts(env: Mapping[str, str]) -> Iterator[Client]:
    """A database of empty marts, all but the customers', for as long as the block lasts."""
    client = clickhouse.connect(env["CLICKHOUSE_URL"], env["CLICKHOUSE_DBT_PASSWORD"], "dbt")
    client.command(f"DROP DATABASE IF EXISTS {DATABASE}")
    client.command(f"CREATE DATABASE {DATABASE}")
    make(client, "sales", "rpt_revenue_daily")
    make(client, "sales", "fct_orders")
    make(client, "sales", "fct_order_items")
    make(client, "catalogue", "dim_products")
    yield client
    client.command(f"DROP DATABASE {DATABASE}")
    client.close()


@contextmanager
def served(
    env: Mapping[str, str],
    warehouse: Warehouse,
    *,
    bootstrap: str | None = None,
    waiting_records: int = 200,
    delivery_ms: int = 5000,
) -> Iterator[httpx.Client]:
    """An operator's client of the service, which notices a rebuilt mart at once."""

    @asynccontextmanager
    async def wiring(app: FastAPI) -> AsyncIterator[Mapping[str, Check]]:
        kafka = bootstrap or env["KAFKA_BOOTSTRAP"]
        async with (
            Recorder(kafka, waiting_records=waiting_records, delivery_ms=delivery_ms) as recorder,
            door(app, env["SESSIONS_URL"], env["REDIS_URL"]),
        ):
            app.state.recorder = recorder
            app.state.service = Analytics(warehouse, build_seconds=0.001)
            yield {"kafka": recorder.answers, "clickhouse": warehouse.answers}

    with socket.socket() as listening, ThreadPoolExecutor(1) as pool:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(build(wiring), log_config=None))
        work = pool.submit(server.run, sockets=[listening])
        listening.listen()  # a request made before the server is up waits for it
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with httpx.Client(base_url=address, timeout=30, trust_env=False, auth=operator(env)) as client:
            yield client
        server.should_exit = True
        work.result(timeout=30)
