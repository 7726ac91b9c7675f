"""The demo's steps in order, and the facts they leave: what was compared, how fresh the copies were, what the marts say."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import clickhouse_connect
import httpx
from clickhouse_connect.driver.exceptions import DatabaseError

from cdc.verify import DocumentProof, TableProof, verify_documents, verify_tables
from services.kit.token_source import TokenSource
from stack.demo.freshness import FreshnessProbe
from stack.demo.shop import Shop
from stack.errors import StackError
from stack.steps import Tick

PRODUCTS = 3000
CUSTOMERS = 150
SEED = 7

REVENUE = """
SELECT toString(day), currency, orders, toString(gross_revenue), toString(refunds), toString(net_revenue)
FROM analytics.rpt_revenue_daily WHERE day > today() - 7 ORDER BY 1 DESC, 2
"""


class ChecksFailed(StackError):
    """The pipeline could not be run; its own words say why."""


@dataclass
class Facts:
    """Everything the demo reports."""

    tables: list[TableProof] = field(default_factory=list)
    documents: list[DocumentProof] = field(default_factory=list)
    indexed: dict[str, int] = field(default_factory=dict)
    freshness_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    checks: dict[str, int] = field(default_factory=dict)
    failed_checks: list[str] = field(default_factory=list)
    revenue: list[tuple[Any, ...]] = field(default_factory=list)
    happened: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)

    @property
    def well(self) -> bool:
        """Whether every copy is equal and every check passed."""
        copies = [p.equal for p in self.tables] + [p.equal for p in self.documents]
        return bool(copies) and all(copies) and self.checks.get("failed") == 0 and not self.failed_checks

    def document(self) -> dict[str, Any]:
        """The facts as the JSON of ``--json``."""
        return {
            "tables": [
                {
                    "table": f"{p.source}.{p.table}",
                    "postgres": p.rows_source,
                    "clickhouse": p.rows_target,
                    "equal": p.equal,
                }
                for p in self.tables
            ],
            "documents": [
                {"index": p.index, "postgres": p.rows, "elasticsearch": self.indexed[p.index], "equal": p.equal}
                for p in self.documents
            ],
            "freshness_ms": self.freshness_ms,
            "checks": self.checks,
            "seconds": self.seconds,
            "urls": self.urls,
        }


def run(env: dict[str, str], orders: int, facts: Facts, tick: Tick) -> None:
    """Use the shop, wait for the copies, build the marts, prove everything; fills ``facts`` as it goes.

    Raises:
        StackError, CdcError: what could not be done; what was found until then is in ``facts``.
    """
    with _timed(facts, "shop"):
        asyncio.run(_use_the_shop(env, orders, facts, tick))
    with _timed(facts, "marts_and_checks"):
        tick("building the marts and checking them", 0, 0)
        _build_marts(facts)
    with _timed(facts, "proof"):
        tick("comparing every row and document with its source", 0, 0)
        facts.tables = verify_tables()
        facts.documents = verify_documents()
        facts.indexed = {proof.index: _count(env, proof.index) for proof in facts.documents}
    try:
        facts.revenue = _revenue(env)
    except DatabaseError as error:
        facts.failed_checks.append(f"the mart of revenue cannot be read: {str(error).splitlines()[0]}")


@contextmanager
def _timed(facts: Facts, step: str) -> Iterator[None]:
    started = time.monotonic()
    try:
        yield
    finally:
        facts.seconds[step] = round(time.monotonic() - started, 1)


async def _use_the_shop(env: dict[str, str], orders: int, facts: Facts, tick: Tick) -> None:
    urls = {
        name: env[f"{name.upper()}_URL"] for name in ("users", "products", "orders", "payments", "search", "analytics")
    }
    limits = httpx.Limits(max_connections=20)
    merchant = TokenSource(env["SESSIONS_URL"], "demo", env["DEMO_CLIENT_SECRET"])
    async with httpx.AsyncClient(timeout=30, limits=limits, auth=merchant) as http:
        shop = Shop(urls, SEED, http)
        try:
            tick("filling the shelves", 0, 0)
            await shop.stock_shelves(PRODUCTS)
            tick("waiting until the catalogue is found by the search", 0, 0)
            await shop.wait_until_found()
            tick("registering customers", 0, 0)
            await shop.register(CUSTOMERS, f"{int(time.time())}")
            done = 0

            def progress() -> None:
                nonlocal done
                done += 1
                tick("customers are shopping", done, orders)

            with FreshnessProbe(env, shop.products[-40:]) as probe:
                await shop.trade(orders, progress)
                await asyncio.to_thread(probe.finish)
            facts.freshness_ms = probe.percentiles()
        finally:
            facts.happened = dict(shop.counts)


def _build_marts(facts: Facts) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.run", "--json"], capture_output=True, text=True, check=False
    )
    try:
        outcome = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        lines = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
        raise ChecksFailed(f"the pipeline could not run: {lines[-1]}") from None
    facts.checks = outcome["checks"]
    facts.failed_checks = list(outcome.get("failed", []))


def _count(env: dict[str, str], index: str) -> int:
    """How many documents the index holds."""
    answer = httpx.get(f"{env['ELASTICSEARCH_URL']}/{index}/_count", timeout=30)
    return int(answer.raise_for_status().json()["count"])


def _revenue(env: dict[str, str]) -> list[tuple[Any, ...]]:
    address = httpx.URL(env["CLICKHOUSE_URL"])
    client = clickhouse_connect.get_client(
        host=address.host, port=address.port or 8123, username="analyst", password=env["CLICKHOUSE_ANALYST_PASSWORD"]
    )
    return [tuple(row) for row in client.query(REVENUE).result_rows]
