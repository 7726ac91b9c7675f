"""The search's parameters and the request they become."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from services.search.facets import ABOVE, IN_STOCK, counted_categories
from services.search.query import page
from services.search.schemas import (
    MAX_PAGE,
    PriceCount,
    SearchQuery,
    decimal_string,
    to_cents,
)
from services.search.wanted import wanted


def asked(**parameters: Any) -> SearchQuery:
    return SearchQuery.model_validate(parameters)


def test_empty_parameters_are_absent() -> None:
    empty = dict.fromkeys(("q", "category", "brand", "min_price", "max_price", "in_stock", "sort", "page"), "")
    assert asked(**empty) == asked()


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"page": "0"}, "greater than or equal to 1"),
        ({"page": str(MAX_PAGE + 1)}, f"at most {MAX_PAGE}; narrow the search"),
        ({"page": "two"}, "valid integer"),
        ({"min_price": "-1"}, "not negative, at most two places"),
        ({"min_price": "1.234"}, "not negative, at most two places"),
        ({"max_price": "NaN"}, "not negative, at most two places"),
        ({"min_price": "5", "max_price": "2"}, "min_price is above max_price"),
        ({"category": "Not A Slug"}, "pattern"),
        ({"sort": "cheapest"}, "price_asc"),
        ({"in_stock": "perhaps"}, "boolean"),
        ({"q": "x" * 201}, "at most 200"),
        ({"q": "a\0b"}, "U\\+0000"),
        ({"colour": "red"}, "not permitted"),
    ],
)
def test_bad_parameters_are_refused(parameters: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        asked(**parameters)


def request(**parameters: Any) -> dict[str, Any]:
    query = asked(**parameters)
    return page(wanted(query), query.page)


def test_every_word_must_be_found_with_tolerance() -> None:
    [text] = request(q="Sharp Knïfe")["query"]["bool"]["must"]
    found, sku = text["bool"]["should"]
    ways = [word["dis_max"]["queries"] for word in found["bool"]["must"]]
    assert [[way["multi_match"]["query"] for way in word] for word in ways] == [
        ["sharp", "sharpknife", "sharp"],
        ["knife", "sharpknife", "knife"],
    ]
    near = [word[-1]["multi_match"] for word in ways]
    assert all((way["fuzziness"], way["prefix_length"]) == ("AUTO", 1) for way in near)
    assert sku["term"]["sku"]["value"] == "sharp knife"


def test_a_number_is_not_forgiven() -> None:
    [text] = request(q="monitor 27")["query"]["bool"]["must"]
    number = text["bool"]["should"][0]["bool"]["must"][1]["dis_max"]["queries"]
    assert [set(way["multi_match"]) & {"fuzziness"} for way in number] == [set()]


def test_no_words_find_everything_that_is_for_sale() -> None:
    body = request(q="   ")
    assert body["query"]["bool"] == {"must": [{"match_all": {}}], "filter": [{"term": {"status": "active"}}]}
    assert "highlight" not in body


def test_words_about_the_price_become_filters_of_the_price_facet() -> None:
    body = request(q="lamp under 50")
    price = {"range": {"price.amount_cents": {"lte": 4999}}}
    assert body["post_filter"]["bool"]["filter"] == [price]
    assert body["aggs"]["price"]["filter"]["bool"]["filter"] == []
    assert body["aggs"]["brand"]["filter"]["bool"]["filter"] == [price]


def test_a_parameter_goes_before_the_words() -> None:
    want = wanted(asked(q="cheapest lamp under 50", max_price="80", sort="newest"))
    assert (want.words, want.max_cents, want.sort) == (["lamp"], 8000, "newest")
    assert want.interpreted.understood == ["under 50", "cheapest"]


def test_a_facet_ignores_its_own_filter_only() -> None:
    body = request(category="knives", brand="Acme", min_price="1.50", max_price="20", in_stock="true")
    category = {"term": {"category.within": "knives"}}
    brand = {"term": {"brand.keyword": "Acme"}}
    price = {"range": {"price.amount_cents": {"gte": 150, "lte": 2000}}}
    assert body["post_filter"]["bool"]["filter"] == [category, brand, price, IN_STOCK]
    counted_under = {name: facet["filter"]["bool"]["filter"] for name, facet in body["aggs"].items()}
    assert counted_under == {
        "category": [brand, price, IN_STOCK],
        "brand": [category, price, IN_STOCK],
        "price": [category, brand, IN_STOCK],
        "in_stock": [category, brand, price],
    }


def test_a_category_counts_at_every_level() -> None:
    def bucket(slug: str, count: int) -> dict[str, Any]:
        return {"key": slug, "doc_count": count, "name": {"buckets": [{"key": slug.title()}]}}

    answer: dict[str, Any] = {level: {"buckets": []} for level in ABOVE}
    answer["category"]["buckets"] = [bucket("knives", 2), bucket("kitchen", 1)]
    answer["category.parent"]["buckets"] = [bucket("kitchen", 2)]
    assert counted_categories(answer) == [("Kitchen", "kitchen", 3), ("Knives", "knives", 2)]


def test_pages_follow_each_other() -> None:
    assert [(r["from"], r["size"]) for r in (request(page=n) for n in (1, 2, 100))] == [(0, 20), (20, 20), (1980, 20)]


@pytest.mark.parametrize("sort", ["relevance", "price_asc", "price_desc", "newest"])
def test_every_order_is_total(sort: str) -> None:
    assert request(sort=sort)["sort"][-1] == {"id": "asc"}


@pytest.mark.parametrize(("cents", "text"), [(0, "0.00"), (5, "0.05"), (1990, "19.90"), (99999999, "999999.99")])
def test_money_is_exact(cents: int, text: str) -> None:
    assert decimal_string(cents) == text
    assert to_cents(Decimal(text)) == cents


def test_price_ranges_are_spelt_from_and_to() -> None:
    count = PriceCount.model_validate({"from": "0.00", "to": None, "count": 3})
    assert count.model_dump(by_alias=True) == {"from": "0.00", "to": None, "count": 3}
