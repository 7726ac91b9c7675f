"""The search service over a real index: a small catalogue of its own, mapped as the source file maps products."""

import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
import yaml
from elasticsearch import Elasticsearch
from fastapi import FastAPI

from services.kit.http import Check
from services.search import repository
from services.search.api import build
from services.search.service import Search

SOURCE = Path(__file__).parents[3] / "cdc" / "sources" / "products.yaml"
KNIVES, POTS = ("Knives", "knives", ["Home", "Kitchen", "Knives"]), ("Pots", "pots", ["Home", "Kitchen", "Pots"])


def product(
    sku: str,
    name: str,
    brand: str,
    within: tuple[str, str, list[str]],
    cents: int | None,
    available: int,
    **more: Any,
) -> dict[str, Any]:
    """A product's document as the document sink writes it."""
    title, slug, path = within
    return {
        "id": str(uuid4()),
        "sku": sku,
        "name": name,
        "brand": brand,
        "description": "",
        "attributes": {},
        "status": "active",
        "created_at": f"2026-01-0{len(sku)}T00:00:00+00:00",
        "updated_at": "2026-01-01T00:00:00+00:00",
        "category": {"id": str(uuid4()), "name": title, "slug": slug, "path": path},
        "price": None if cents is None else {"amount_cents": cents, "currency": "EUR"},
        "stock": {"available": available},
    } | more


CATALOGUE = [
    product("K1", "Chef knife", "Wüsthof", KNIVES, 8990, 3, description="Forged & <b>sharp</b>, for a chef"),
    product("K22", "Bread knife", "Victorinox", KNIVES, 2450, 0),
    product("K333", "Paring knife", "Victorinox", KNIVES, 990, 12),
    product("P4444", "Copper saucepan", "Mauviel", POTS, 19900, 1, description="A pan that a chef would choose"),
    product("P55555", "Stock pot", "Mauviel", POTS, None, 2),
    product("X666666", "Old knife", "Victorinox", KNIVES, 100, 9, status="discontinued"),
]


@contextmanager
def served(url: str, index: str) -> Iterator[httpx.Client]:
    """A client of the service, which runs in a thread on this Elasticsearch and index."""

    @asynccontextmanager
    async def wiring(app: FastAPI) -> AsyncIterator[Mapping[str, Check]]:
        async with repository.connect(url) as client:
            app.state.service = Search(client, index)
            yield {}

    with socket.socket() as listening, ThreadPoolExecutor(1) as pool:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(build(wiring), log_config=None))
        work = pool.submit(server.run, sockets=[listening])
        listening.listen()  # a request made before the server is up waits for it
        with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=30) as client:
            yield client
        server.should_exit = True
        work.result(30)


@pytest.fixture(scope="module")
def index(stack: Any) -> Iterator[str]:
    """The catalogue's index."""
    name = f"search-test-{uuid4().hex[:8]}"
    mapping = yaml.safe_load(SOURCE.read_text())["documents"][0]["mapping"]
    with Elasticsearch(stack.env["ELASTICSEARCH_URL"]) as client:
        client.indices.create(
            index=name, mappings={"dynamic": "strict", "properties": mapping}, settings={"number_of_replicas": 0}
        )
        operations = [line for each in CATALOGUE for line in ({"index": {"_id": each["id"]}}, each)]
        assert not client.bulk(index=name, operations=operations, refresh=True)["errors"]
        yield name
        client.indices.delete(index=name)


@pytest.fixture(scope="module")
def search(stack: Any, index: str) -> Iterator[httpx.Client]:
    """The service, running."""
    with served(stack.env["ELASTICSEARCH_URL"], index) as client:
        yield client


def found(client: httpx.Client, **parameters: str) -> dict[str, Any]:
    """The answer to a search that must succeed."""
    answer = client.get("/search", params=parameters)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def skus(answer: Mapping[str, Any]) -> list[str]:
    return [hit["sku"] for hit in answer["hits"]]


def counts(answer: Mapping[str, Any], facet: str, name: str = "value") -> dict[Any, int]:
    return {count[name]: count["count"] for count in answer["facets"][facet] if count["count"]}


def test_no_words_find_all_that_is_for_sale(search: httpx.Client) -> None:
    answer = found(search, sort="newest")
    assert (answer["total"], answer["page"], answer["page_size"]) == (5, 1, 20)
    assert skus(answer) == ["P55555", "P4444", "K333", "K22", "K1"]


def test_a_name_beats_a_description(search: httpx.Client) -> None:
    assert skus(found(search, q="chef")) == ["K1", "P4444"]


@pytest.mark.parametrize("typed", ["chef knfe", "Chef Knofe", "chef wusthof", "CHEF knives", "k1"])
def test_typing_errors_are_forgiven(search: httpx.Client, typed: str) -> None:
    assert skus(found(search, q=typed))[0] == "K1"


def test_every_word_counts(search: httpx.Client) -> None:
    assert found(search, q="chef victorinox")["total"] == 0
    assert skus(found(search, q="mauviel kitchen stock")) == ["P55555"]


@pytest.mark.parametrize("typed", ["!!!", "&& ||", '"quoted', "a/b\\c", "名前", "x" * 200, "a " * 100])
def test_any_text_can_be_asked_for(search: httpx.Client, typed: str) -> None:
    found(search, q=typed)


def test_found_words_are_marked_and_the_rest_is_escaped(search: httpx.Client) -> None:
    [hit, _] = found(search, q="chef")["hits"]
    assert hit["highlight"]["name"] == ["<em>Chef</em> knife"]
    assert "&lt;b&gt;sharp&lt;&#x2F;b&gt;" in hit["highlight"]["description"][0]
    assert hit["price"] == {"amount": "89.90", "currency": "EUR"}
    assert hit["category"] == ["Home", "Kitchen", "Knives"]


def test_filters_narrow_and_facets_ignore_their_own(search: httpx.Client) -> None:
    answer = found(search, category="knives", in_stock="true", sort="price_asc")
    assert skus(answer) == ["K333", "K1"]
    assert counts(answer, "category", "slug") == {"knives": 2, "pots": 2}
    assert counts(answer, "in_stock") == {True: 2, False: 1}
    assert counts(answer, "brand") == {"Victorinox": 1, "Wüsthof": 1}
    assert counts(answer, "price", "from") == {"0.00": 1, "50.00": 1}
    assert answer["facets"]["category"][0] == {"value": "Knives", "slug": "knives", "count": 2}


def test_prices_are_inclusive_and_exact(search: httpx.Client) -> None:
    assert skus(found(search, min_price="9.90", max_price="24.50", sort="price_desc")) == ["K22", "K333"]
    assert skus(found(search, min_price="9.91", max_price="24.49")) == []


def test_a_product_without_a_price_comes_last_and_says_so(search: httpx.Client) -> None:
    for sort in ("price_asc", "price_desc"):
        last = found(search, sort=sort)["hits"][-1]
        assert (last["sku"], last["price"]) == ("P55555", None)


def test_brands_are_chosen_as_spelt(search: httpx.Client) -> None:
    assert found(search, brand="Mauviel")["total"] == 2
    assert found(search, brand="mauviel")["total"] == 0


def test_a_page_beyond_the_hits_is_empty(search: httpx.Client) -> None:
    assert found(search, page="100") | {"facets": None} == {
        "total": 5, "page": 100, "page_size": 20, "hits": [], "facets": None
    }  # fmt: skip


@pytest.mark.parametrize("parameters", [{"page": "101"}, {"min_price": "x"}, {"colour": "red"}, {"category": "A b"}])
def test_bad_parameters_get_a_problem_document(search: httpx.Client, parameters: dict[str, str]) -> None:
    answer = search.get("/search", params=parameters)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert next(iter(parameters)) in answer.json()["detail"]


def test_a_missing_index_is_a_passing_trouble(stack: Any) -> None:
    with served(stack.env["ELASTICSEARCH_URL"], "no-such-index") as client:
        answer = client.get("/search")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert "no product has been indexed yet" in answer.json()["detail"]


def test_elasticsearch_away_is_a_passing_trouble(unused_port: int) -> None:
    with served(f"http://127.0.0.1:{unused_port}", "products") as client:
        answer = client.get("/search", params={"q": "knife"})
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert answer.headers["retry-after"] == "1"


@pytest.fixture
def unused_port() -> int:
    """A port that nothing listens on: bound once, let go."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
