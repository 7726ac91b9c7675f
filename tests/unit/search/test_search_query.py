"""The search's parameters and the request they become."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from services.search.query import IN_STOCK, build
from services.search.schemas import (
    MAX_PAGE,
    PriceCount,
    SearchQuery,
    decimal_string,
    to_cents,
)


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
        ({"min_price": "-1"}, "greater than or equal to 0"),
        ({"min_price": "1.234"}, "2 decimal places"),
        ({"max_price": "NaN"}, "finite"),
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


def test_every_word_must_be_found_with_tolerance() -> None:
    request = build(asked(q="sharp knfe"))
    [text] = request["query"]["bool"]["must"]
    words, sku = text["bool"]["should"]
    assert [word["multi_match"]["query"] for word in words["bool"]["must"]] == ["sharp", "knfe"]
    assert all(word["multi_match"]["fuzziness"] == "AUTO" for word in words["bool"]["must"])
    assert all(word["multi_match"]["prefix_length"] == 1 for word in words["bool"]["must"])
    assert sku["term"]["sku"]["value"] == "sharp knfe"
    assert "highlight" in request


def test_no_words_find_everything_that_is_for_sale() -> None:
    request = build(asked(q="   "))
    assert request["query"]["bool"] == {"must": [{"match_all": {}}], "filter": [{"term": {"status": "active"}}]}
    assert "highlight" not in request


def test_a_facet_ignores_its_own_filter_only() -> None:
    request = build(asked(category="knives", brand="Acme", min_price="1.50", max_price="20", in_stock="true"))
    category = {"term": {"category.slug": "knives"}}
    brand = {"term": {"brand.keyword": "Acme"}}
    price = {"range": {"price.amount_cents": {"gte": 150, "lte": 2000}}}
    assert request["post_filter"]["bool"]["filter"] == [category, brand, price, IN_STOCK]
    counted_under = {name: facet["filter"]["bool"]["filter"] for name, facet in request["aggs"].items()}
    assert counted_under == {
        "category": [brand, price, IN_STOCK],
        "brand": [category, price, IN_STOCK],
        "price": [category, brand, IN_STOCK],
        "in_stock": [category, brand, price],
    }


def test_pages_follow_each_other() -> None:
    assert [(r["from"], r["size"]) for r in (build(asked(page=n)) for n in (1, 2, 100))] == [
        (0, 20),
        (20, 20),
        (1980, 20),
    ]


@pytest.mark.parametrize("sort", ["relevance", "price_asc", "price_desc", "newest"])
def test_every_order_is_total(sort: str) -> None:
    assert build(asked(sort=sort))["sort"][-1] == {"id": "asc"}


@pytest.mark.parametrize(("cents", "text"), [(0, "0.00"), (5, "0.05"), (1990, "19.90"), (99999999, "999999.99")])
def test_money_is_exact(cents: int, text: str) -> None:
    assert decimal_string(cents) == text
    assert to_cents(Decimal(text)) == cents


def test_price_ranges_are_spelt_from_and_to() -> None:
    count = PriceCount.model_validate({"from": "0.00", "to": None, "count": 3})
    assert count.model_dump(by_alias=True) == {"from": "0.00", "to": None, "count": 3}
