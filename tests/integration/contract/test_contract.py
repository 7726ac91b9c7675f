"""Every service keeps to its OpenAPI document, whoever calls and whatever they send: judged by schemathesis.

A short run of each is in the gate; the thorough ones, as a user and as nobody, are long. The services are those of the
stack; search and analytics are served here, over an index and marts that are there without anybody having filled them.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from elasticsearch import Elasticsearch

from bench.relevance.index import filled
from services.analytics.clickhouse import Warehouse
from services.kit.openapi import names
from tests.conftest import Stack
from tests.integration.analytics.serving import DATABASE, make, served, trial_marts
from tests.integration.contract import roster
from tests.integration.search.test_search import CATALOGUE
from tests.integration.search.test_search import served as served_search
from tests.integration.services.shop import Shop

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def shop(stack: Stack) -> Iterator[Shop]:
    with Shop(stack.env) as opened:
        yield opened


@pytest.fixture
def address(shop: Shop, service: str) -> Iterator[str]:
    """Where the service answers."""
    if service == "analytics":
        with trial_marts(shop.env) as client:
            make(client, "customers", "dim_customers")
            warehouse = Warehouse(shop.env["CLICKHOUSE_URL"], "dbt", shop.env["CLICKHOUSE_DBT_PASSWORD"], DATABASE)
            with served(shop.env, warehouse) as http:
                yield str(http.base_url)
    elif service == "search":
        with (
            Elasticsearch(shop.env["ELASTICSEARCH_URL"]) as elasticsearch,
            filled(elasticsearch, CATALOGUE) as index,
            served_search(shop.env, index) as http,
        ):
            yield str(http.base_url)
    else:
        yield shop.url(service)


def judge(shop: Shop, tmp_path: Path, address: str, caller: roster.Caller, *arguments: str) -> None:
    """Fails with what schemathesis printed when it found anything. What the run left open is closed afterwards."""
    file = tmp_path / "roster.json"
    roster.write(file, shop, caller)
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(HERE / "schemathesis.toml")]
    try:
        done = subprocess.run(
            [*command, "run", f"{address}/openapi.json", "--no-color", "--continue-on-failure", *arguments],
            env={**os.environ, "MILLRACE_CONTRACT": str(file), "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
    finally:
        roster.close(shop)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", names())
def test_a_service_keeps_to_its_document(shop: Shop, tmp_path: Path, address: str) -> None:
    judge(shop, tmp_path, address, "user", "--max-examples", "2", "--seed", "1")


@pytest.mark.long
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("caller", ["user", "nobody"])
@pytest.mark.parametrize("service", names())
def test_a_service_keeps_to_its_document_whatever_is_sent(
    shop: Shop, tmp_path: Path, address: str, caller: roster.Caller
) -> None:
    judge(shop, tmp_path, address, caller, "--max-examples", "100")
