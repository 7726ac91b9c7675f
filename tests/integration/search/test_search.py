"""The search service over a real index: a small catalogue of its own, mapped as the source file maps products."""

import base64
import json
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from elasticsearch import Elasticsearch
from fastapi import FastAPI

from bench.relevance.index import categories, filled, folded
from services.kit.door import door
from services.kit.http import Check
from services.kit.ids import uuid7
from services.kit.token_source import TokenSource
from services.search import repository
from services.search.api import build
from services.search.cursors import Cursors
from services.search.events import SearchEvent
from services.search.service import Search
from services.sessions.keys import Keys
from tests.integration.services.service_process import service_process

KNIVES, POTS = ("Home", "Kitchen", "Knives"), ("Home", "Kitchen", "Pots")
SHOES = ("Fashion", "Shoes")


def product(
    sku: str, name: str, brand: str, within: tuple[str, ...], cents: int | None, available: int, **more: Any
) -> dict[str, Any]:
    """A product's document as the document sink writes it."""
    return folded(
        {
            "id": str(uuid4()),
            "sku": sku,
            "name": name,
            "brand": brand,
            "description": "",
            "attributes": {},
            "status": "active",
            "created_at": f"2026-01-0{len(sku)}T00:00:00+00:00",
            "updated_at": "2026-01-01T00:00:00+00:00",
            "category": categories(within),
            "price": None if cents is None else {"amount_cents": cents, "currency": "EUR"},
            "stock": {"available": available},
        }
        | more
    )


CATALOGUE = [
    product("K1", "Chef knife", "Wüsthof", KNIVES, 8990, 3, description="Forged & <b>sharp</b>, for a chef"),
    product("K22", "Bread knife", "Victorinox", KNIVES, 2450, 0),
    product("K333", "Paring knife", "Victorinox", KNIVES, 990, 12),
    product("P4444", "Copper saucepan", "Mauviel", POTS, 19900, 1, description="A pan that a chef would choose"),
    product("P55555", "Stock pot", "Mauviel", POTS, None, 2),
    product("X666666", "Old knife", "Victorinox", KNIVES, 100, 9, status="discontinued"),
]
SHOP = [
    product("A1", "Running Shoes", "Løper", SHOES, 9900, 3),
    product("A22", "Café Cup", "Straße 7", POTS, 900, 3, description="Für <Espresso>"),
    product("A333", "Backpack", "Fells", ("Fashion", "Bags"), 4999, 3),
    product("A4444", "Ankle Boots", "Fells", SHOES, 12000, 3),
    product("A55555", "Portable Monitor", "Fells", ("Electronics", "Monitors"), 20000, 3),
    product("A666666", "Fountain Pen", "Fells", ("Paper", "Pens"), 500, 3),
]


class Heard:
    """Takes the events that a search tells."""

    def __init__(self) -> None:
        self.events: list[SearchEvent] = []

    def tell(self, event: SearchEvent) -> None:
        self.events.append(event)


@contextmanager
def served(
    env: Mapping[str, str], index: str, heard: Heard | None = None, *, url: str | None = None
) -> Iterator[httpx.Client]:
    """A client of the service, which runs in a thread on this Elasticsearch and index. The client has a token: more than
    what an unknown caller may ask is asked here."""

    @asynccontextmanager
    async def wiring(app: FastAPI) -> AsyncIterator[Mapping[str, Check]]:
        async with (
            repository.connect(url or env["ELASTICSEARCH_URL"]) as client,
            door(app, env["SESSIONS_URL"], env["REDIS_URL"]),
        ):
            app.state.service = Search(client, index, heard or Heard(), Cursors(env["REDIS_URL"]))
            yield {}

    with socket.socket() as listening, ThreadPoolExecutor(1) as pool:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(build(wiring), log_config=None))
        work = pool.submit(server.run, sockets=[listening])
        listening.listen()  # a request made before the server is up waits for it
        try:
            auth = TokenSource(env["SESSIONS_URL"], "demo", env["DEMO_CLIENT_SECRET"])
            address = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with httpx.Client(base_url=address, timeout=30, trust_env=False, auth=auth) as client:
                yield client
        finally:
            server.should_exit = True
            work.result(30)


@pytest.fixture(scope="module")
def elasticsearch(stack: Any) -> Iterator[Elasticsearch]:
    """A client of the stack's Elasticsearch."""
    with Elasticsearch(stack.env["ELASTICSEARCH_URL"]) as client:
        yield client


@pytest.fixture(scope="module")
def search(stack: Any, elasticsearch: Elasticsearch) -> Iterator[httpx.Client]:
    """The service over the small catalogue."""
    with filled(elasticsearch, CATALOGUE) as index, served(stack.env, index) as client:
        yield client


@pytest.fixture(scope="module")
def heard() -> Heard:
    """What the shop's search has told."""
    return Heard()


@pytest.fixture(scope="module")
def shop(stack: Any, elasticsearch: Elasticsearch, heard: Heard) -> Iterator[httpx.Client]:
    """The service over a catalogue of many kinds of words."""
    with filled(elasticsearch, SHOP) as index, served(stack.env, index, heard) as client:
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
    assert "&lt;b&gt;sharp&lt;/b&gt;" in hit["highlight"]["description"][0]
    assert hit["price"] == {"amount": "89.90", "currency": "EUR"}
    assert hit["category"] == ["Home", "Kitchen", "Knives"]


def test_filters_narrow_and_facets_ignore_their_own(search: httpx.Client) -> None:
    answer = found(search, category="home-kitchen-knives", in_stock="true", sort="price_asc")
    assert skus(answer) == ["K333", "K1"]
    assert counts(answer, "category", "slug") == {
        "home": 4, "home-kitchen": 4, "home-kitchen-knives": 2, "home-kitchen-pots": 2
    }  # fmt: skip
    assert counts(answer, "in_stock") == {True: 2, False: 1}
    assert counts(answer, "brand") == {"Victorinox": 1, "Wüsthof": 1}
    assert counts(answer, "price", "from") == {"0.00": 1, "50.00": 1}
    assert answer["facets"]["category"][0] == {"value": "Home", "slug": "home", "count": 4}


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
    answer = found(search, page="100")
    assert (answer["total"], answer["page"], answer["hits"]) == (5, 100, [])


@pytest.mark.parametrize("parameters", [{"page": "101"}, {"min_price": "x"}, {"colour": "red"}, {"category": "A b"}])
def test_bad_parameters_get_a_problem_document(search: httpx.Client, parameters: dict[str, str]) -> None:
    answer = search.get("/search", params=parameters)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert next(iter(parameters)) in answer.json()["detail"]


@pytest.mark.parametrize("slug", ["home", "home-kitchen"])
def test_a_category_holds_everything_below_it(search: httpx.Client, slug: str) -> None:
    assert found(search, category=slug)["total"] == 5
    assert found(search, category=slug, q="knife")["total"] == 3


@pytest.mark.parametrize(
    ("typed", "sku"),
    [
        ("shoe", "A1"), ("SHOES", "A1"), ("boot", "A4444"), ("monitors", "A55555"),  # stems
        ("cafe", "A22"), ("CAFÉ", "A22"), ("strasse", "A22"), ("straße", "A22"), ("loper", "A1"), ("løper", "A1"),
        ("runing shoos", "A1"), ("montior", "A55555"), ("fontain pen", "A666666"), ("bakpack", "A333"),  # errors
        ("back pack", "A333"), ("a4444", "A4444"),
    ],
)  # fmt: skip
def test_words_are_found_however_they_are_typed(shop: httpx.Client, typed: str, sku: str) -> None:
    assert skus(found(shop, q=typed))[:1] == [sku]


def test_found_words_are_marked_as_they_were_written(shop: httpx.Client) -> None:
    [hit] = found(shop, q="cafe espresso")["hits"]
    assert hit["highlight"]["name"] == ["<em>Café</em> Cup"]
    assert hit["highlight"]["description"] == ["Für &lt;<em>Espresso</em>&gt;"]
    assert found(shop, q="strasse")["hits"][0]["highlight"]["brand"] == ["<em>Straße</em> 7"]


def test_words_about_the_price_are_filters_and_are_told(shop: httpx.Client) -> None:
    answer = found(shop, q="shoes under 100 euro")
    assert skus(answer) == ["A1"]
    assert answer["interpreted"] == {
        "text": "shoes", "understood": ["under 100 euro"], "min_price": None, "max_price": "99.99", "sort": "relevance"
    }  # fmt: skip
    assert skus(found(shop, q="cheapest fells")) == ["A666666", "A333", "A4444", "A55555"]
    cheap = found(shop, q="cheap fells")
    assert set(skus(cheap)) == {"A666666", "A333"}
    assert 4999 <= Decimal(cheap["interpreted"]["max_price"]) * 100 < 12000
    assert found(shop, q="cheap nothing")["interpreted"]["max_price"] is None
    assert skus(found(shop, q="shoes under 100 euro", max_price="200")) == ["A1", "A4444"]


@pytest.mark.parametrize("typed", ["b", "ba", "BACK", "bäckp", " Backpack "])
def test_unfinished_words_suggest_products(shop: httpx.Client, typed: str) -> None:
    suggested = shop.get("/suggest", params={"q": typed}).raise_for_status().json()
    assert "Backpack" in [product["name"] for product in suggested["products"]]


@pytest.mark.parametrize(
    "parameters", [{}, {"q": "x" * 101}, {"q": "x", "limit": "0"}, {"q": "a\0"}, {"q": "x", "page": "1"}]
)
def test_wrong_parameters_of_suggestions_are_refused(shop: httpx.Client, parameters: dict[str, str]) -> None:
    answer = shop.get("/suggest", params=parameters)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_suggestions_name_brands_and_categories(shop: httpx.Client) -> None:
    assert shop.get("/suggest", params={"q": "lop"}).json() == {"products": [], "brands": ["Løper"], "categories": []}
    assert shop.get("/suggest", params={"q": "fashion sh"}).json()["categories"] == [
        {"slug": "fashion-shoes", "path": ["Fashion", "Shoes"]}
    ]
    assert shop.get("/suggest", params={"q": "  "}).json() == {"products": [], "brands": [], "categories": []}


def all_of(client: httpx.Client, **parameters: str) -> Iterator[dict[str, Any]]:
    page: dict[str, Any] = {"next_cursor": ""}
    while page["next_cursor"] is not None:
        answer = client.get("/search/all", params=parameters | {"cursor": page["next_cursor"]})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        yield page


@pytest.mark.parametrize("sort", ["relevance", "price_asc", "newest"])
def test_all_hits_are_read_once_in_their_order(search: httpx.Client, sort: str) -> None:
    pages = list(all_of(search, q="", sort=sort, limit="2"))
    assert [item["sku"] for page in pages for item in page["items"]] == skus(found(search, sort=sort))
    assert [page["total"] for page in pages] == [5, None, None]


def test_a_reading_sees_the_index_as_it_was(stack: Any, elasticsearch: Elasticsearch) -> None:
    with filled(elasticsearch, CATALOGUE[:3]) as index, served(stack.env, index) as client:
        pages = all_of(client, sort="newest", limit="1")
        first = next(pages)["items"][0]["sku"]
        gone = [{"delete": {"_id": each["id"]}} for each in CATALOGUE[:3]]
        elasticsearch.bulk(index=index, operations=gone, refresh=True)
        assert [first, *(item["sku"] for page in pages for item in page["items"])] == ["K333", "K22", "K1"]
        assert found(client)["total"] == 0


def test_another_process_of_the_service_goes_on_with_a_cursor(stack: Any, elasticsearch: Elasticsearch) -> None:
    with (
        filled(elasticsearch, CATALOGUE[:3]) as index,
        served(stack.env, index) as one,
        service_process("search", stack.env, SEARCH_INDEX=index) as process,
        httpx.Client(base_url=process.url, timeout=30, trust_env=False, auth=one.auth) as other,
    ):
        process.start()
        page = one.get("/search/all", params={"sort": "newest", "limit": "2"}).json()
        cursor = {"sort": "newest", "limit": "2", "cursor": page["next_cursor"]}
        rest = other.get("/search/all", params=cursor)
        assert rest.status_code == 200, rest.text
        assert [item["sku"] for item in page["items"] + rest.json()["items"]] == ["K333", "K22", "K1"]


def test_a_foreign_cursor_is_refused_and_a_lost_point_in_time_is_gone(
    search: httpx.Client, elasticsearch: Elasticsearch
) -> None:
    cursor = search.get("/search/all", params={"limit": "1"}).json()["next_cursor"]
    forged = ("B" if cursor[0] == "A" else "A") + cursor[1:]
    for wrong in ({"cursor": "x"}, {"cursor": cursor, "q": "knife"}, {"cursor": forged}):
        answer = search.get("/search/all", params=wrong)
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:millrace:problem:invalid-cursor")
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))[16:]  # behind the signature
    elasticsearch.close_point_in_time(id=json.loads(raw)[0])
    answer = search.get("/search/all", params={"limit": "1", "cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (410, "urn:millrace:problem:cursor-expired")


def test_searches_and_clicks_are_told(shop: httpx.Client, heard: Heard) -> None:
    heard.events.clear()
    session = {"X-Session-Id": "s-1"}
    answer = shop.get("/search", params={"q": "Shoes under 100", "brand": "Løper"}, headers=session).json()
    hit = answer["hits"][0]["id"]
    click = {"query_id": answer["query_id"], "product_id": hit, "position": 1}
    taken = shop.post("/clicks", json=click, headers=session)
    assert (taken.status_code, taken.content) == (202, b"null")
    searched, clicked = heard.events
    assert (searched.type, searched.query, searched.total, searched.session) == ("search", "Shoes under 100", 1, "s-1")
    assert searched.filters == {"brand": "Løper", "max_price": "99.99", "sort": "relevance", "page": 1}
    assert (clicked.type, str(clicked.query_id), str(clicked.product_id)) == ("click", answer["query_id"], hit)
    assert (str(searched.query_id), clicked.position, clicked.session) == (answer["query_id"], 1, "s-1")
    assert searched.event_id < clicked.event_id


def test_events_have_the_user_of_the_token_and_strangers_have_none(
    stack: Any, shop: httpx.Client, heard: Heard
) -> None:
    user, keys = uuid4(), Keys(Path(stack.env["SESSIONS_KEYS_FILE"]))
    click = {"query_id": str(uuid7()), "product_id": str(uuid4()), "position": 1}
    known = {"authorization": f"Bearer {keys.sign(str(user), 'user', ['customer'])}"}
    with httpx.Client(base_url=shop.base_url, timeout=30, trust_env=False) as shopper:
        heard.events.clear()
        for headers in (known, {}):
            assert shopper.get("/search", headers=headers).status_code == 200
            assert shopper.post("/clicks", json=click, headers=headers).status_code == 202
        assert [event.user_id for event in heard.events] == [user, user, None, None]
        assert shopper.get("/search", headers={"authorization": "Bearer x"}).status_code == 401
        assert len(heard.events) == 4


@pytest.mark.parametrize(
    "wrong",
    [{}, {"position": 0}, {"position": "1"}, {"query_id": "x"}, {"query_id": str(uuid4())}, {"colour": "red"}],
)
def test_a_wrong_click_is_refused_and_not_told(shop: httpx.Client, heard: Heard, wrong: dict[str, Any]) -> None:
    heard.events.clear()
    click = {"query_id": str(uuid7()), "product_id": str(uuid4()), "position": 1}
    answer = shop.post("/clicks", json=click | wrong if wrong else {})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert heard.events == []


def test_a_missing_index_is_a_passing_trouble(stack: Any) -> None:
    with served(stack.env, "no-such-index") as client:
        answer = client.get("/search")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert "no product has been indexed yet" in answer.json()["detail"]


def test_elasticsearch_away_is_a_passing_trouble(stack: Any, unused_port: int) -> None:
    with served(stack.env, "products", url=f"http://127.0.0.1:{unused_port}") as client:
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
