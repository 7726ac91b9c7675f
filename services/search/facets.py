"""Filters and facets: what narrows the hits, and the counts of what could be chosen.

A category holds everything below it: its filter finds products of all its sub-categories, and its count is of all of them.
A document names the categories above its own one by one (`ABOVE`), so the counts are taken level by level and added up.
"""

from typing import Any

from services.search.wanted import Wanted

Json = dict[str, Any]

# Lower bounds in hundredths; the last range has no end.
PRICE_BOUNDS = (0, 2500, 5000, 10000, 25000, 50000)
FACET_SIZE = 20
# Every level is counted apart, and what one level leaves out another may have: more than a shop has categories.
CATEGORIES = 200
LEVELS = 5  # of the document: the product's category and four above it
ABOVE = ["category" + ".parent" * level for level in range(LEVELS)]
IN_STOCK: Json = {"range": {"stock.available": {"gt": 0}}}


def filters(wanted: Wanted) -> dict[str, Json]:
    """The chosen filters, by the facet that each belongs to."""
    chosen: dict[str, Json] = {}
    if wanted.category is not None:
        chosen["category"] = {"term": {"category.within": wanted.category}}
    if wanted.brand is not None:
        chosen["brand"] = {"term": {"brand.keyword": wanted.brand}}
    bounds = {"gte": wanted.min_cents, "lte": wanted.max_cents}
    if cents := {name: amount for name, amount in bounds.items() if amount is not None}:
        chosen["price"] = {"range": {"price.amount_cents": cents}}
    if wanted.in_stock is not None:
        chosen["in_stock"] = IN_STOCK if wanted.in_stock else {"bool": {"must_not": [IN_STOCK]}}
    return chosen


def facets() -> dict[str, Json]:
    """What is counted, before filters: by facet its aggregations."""
    ends: tuple[int | None, ...] = (*PRICE_BOUNDS[1:], None)
    ranges = [
        {"from": start} if end is None else {"from": start, "to": end}
        for start, end in zip(PRICE_BOUNDS, ends, strict=True)
    ]
    return {
        "category": {level: _categories(level) for level in ABOVE},
        "brand": {"values": {"terms": {"field": "brand.keyword", "size": FACET_SIZE}}},
        "price": {"values": {"range": {"field": "price.amount_cents", "ranges": ranges}}},
        "in_stock": {
            "values": {"filters": {"filters": {"true": IN_STOCK, "false": {"bool": {"must_not": [IN_STOCK]}}}}}
        },
    }


def _categories(level: str) -> Json:
    return {
        "terms": {"field": f"{level}.slug", "size": CATEGORIES},
        "aggs": {"name": {"terms": {"field": f"{level}.name", "size": 1}}},
    }


def without_own(name: str, facet: Json, chosen: dict[str, Json]) -> Json:
    """A facet counted under every chosen filter but its own."""
    others = [condition for owner, condition in chosen.items() if owner != name]
    return {"filter": {"bool": {"filter": others}}, "aggs": facet}


def counted_categories(answer: Json) -> list[tuple[str, str, int]]:
    """(name, slug, hits) of every category that has any, those with most hits first."""
    found: dict[str, tuple[str, int]] = {}
    for level in ABOVE:
        for bucket in answer[level]["buckets"]:
            name, so_far = found.get(bucket["key"], (bucket["name"]["buckets"][0]["key"], 0))
            found[bucket["key"]] = (name, so_far + bucket["doc_count"])
    counts = [(name, slug, count) for slug, (name, count) in found.items()]
    return sorted(counts, key=lambda each: (-each[2], each[1]))
