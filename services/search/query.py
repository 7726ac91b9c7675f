"""The Elasticsearch request of a search: plain data, made without a server.

Every word must be found, each in any field and with a typing error or two; a document in which the words stand as they
were typed comes first. Filters are applied after the facets are counted, and each facet is counted under all filters
but its own, so that a shopper sees what choosing another value would give. Uses only what every distribution has: no
scripts, no synonyms, no stemming.
"""

from typing import Any

from services.search.schemas import PAGE_SIZE, SearchQuery, to_cents

Json = dict[str, Any]

FIELDS = ["name^4", "brand^2", "category.path", "description"]
# Words beyond this many would multiply the fuzzy terms that Elasticsearch has to expand.
MAX_WORDS = 12
# Lower bounds in hundredths; the last range has no end.
PRICE_BOUNDS = (0, 2500, 5000, 10000, 25000, 50000)
FACET_SIZE = 20
IN_STOCK: Json = {"range": {"stock.available": {"gt": 0}}}
SORTS: dict[str, list[Json]] = {
    "relevance": [{"_score": "desc"}, {"created_at": "desc"}, {"id": "asc"}],
    "price_asc": [{"price.amount_cents": {"order": "asc", "missing": "_last"}}, {"id": "asc"}],
    "price_desc": [{"price.amount_cents": {"order": "desc", "missing": "_last"}}, {"id": "asc"}],
    "newest": [{"created_at": "desc"}, {"id": "asc"}],
}


def build(asked: SearchQuery) -> Json:
    """The body of the `_search` request."""
    words = asked.q.split()
    chosen = filters(asked)
    request: Json = {
        "query": {"bool": {"must": [text(words)], "filter": [{"term": {"status": "active"}}]}},
        "post_filter": {"bool": {"filter": list(chosen.values())}},
        "aggs": {name: _without_own(name, facet, chosen) for name, facet in facets().items()},
        "sort": SORTS[asked.sort],
        "from": (asked.page - 1) * PAGE_SIZE,
        "size": PAGE_SIZE,
        "track_total_hits": True,
        "_source": ["id", "sku", "name", "brand", "price", "stock", "category.path"],
    }
    if words:
        request["highlight"] = highlight()
    return request


def text(words: list[str]) -> Json:
    """What the typed words have to match; none match everything."""
    if not words:
        return {"match_all": {}}
    phrase = " ".join(words[:MAX_WORDS])
    return {
        "bool": {
            "should": [
                {
                    "bool": {
                        "must": [_word(word) for word in words[:MAX_WORDS]],
                        "should": [
                            {
                                "multi_match": {
                                    "query": phrase,
                                    "fields": FIELDS,
                                    "type": "cross_fields",
                                    "operator": "and",
                                }
                            },
                            {"match_phrase": {"name": {"query": phrase, "boost": 4}}},
                        ],
                    }
                },
                {"term": {"sku": {"value": phrase, "case_insensitive": True, "boost": 20}}},
            ],
            "minimum_should_match": 1,
        }
    }


def _word(word: str) -> Json:
    return {
        "multi_match": {
            "query": word,
            "fields": FIELDS,
            "operator": "and",
            "fuzziness": "AUTO",
            "prefix_length": 1,
            "max_expansions": 30,
            "zero_terms_query": "all",  # a word of punctuation only asks for nothing
        }
    }


def filters(asked: SearchQuery) -> dict[str, Json]:
    """The chosen filters, by the facet that each belongs to."""
    chosen: dict[str, Json] = {}
    if asked.category is not None:
        chosen["category"] = {"term": {"category.slug": asked.category}}
    if asked.brand is not None:
        chosen["brand"] = {"term": {"brand.keyword": asked.brand}}
    bounds = {"gte": asked.min_price, "lte": asked.max_price}
    if cents := {name: to_cents(amount) for name, amount in bounds.items() if amount is not None}:
        chosen["price"] = {"range": {"price.amount_cents": cents}}
    if asked.in_stock is not None:
        chosen["in_stock"] = IN_STOCK if asked.in_stock else {"bool": {"must_not": [IN_STOCK]}}
    return chosen


def facets() -> dict[str, Json]:
    """What is counted, before filters."""
    ends: tuple[int | None, ...] = (*PRICE_BOUNDS[1:], None)
    ranges = [
        {"from": start} if end is None else {"from": start, "to": end}
        for start, end in zip(PRICE_BOUNDS, ends, strict=True)
    ]
    return {
        "category": {
            "terms": {"field": "category.slug", "size": FACET_SIZE},
            "aggs": {"name": {"terms": {"field": "category.name", "size": 1}}},
        },
        "brand": {"terms": {"field": "brand.keyword", "size": FACET_SIZE}},
        "price": {"range": {"field": "price.amount_cents", "ranges": ranges}},
        "in_stock": {"filters": {"filters": {"true": IN_STOCK, "false": {"bool": {"must_not": [IN_STOCK]}}}}},
    }


def _without_own(name: str, facet: Json, chosen: dict[str, Json]) -> Json:
    others = [condition for owner, condition in chosen.items() if owner != name]
    return {"filter": {"bool": {"filter": others}}, "aggs": {"values": facet}}


def highlight() -> Json:
    """Passages with the found words; the documents' own text is escaped, so that it can be shown as HTML."""
    return {
        "encoder": "html",
        # A word counts in whatever field it is found; asked field by field, Elasticsearch expands every fuzzy word anew
        # for each field of each hit, which takes six times as long as the search itself.
        "require_field_match": False,
        "pre_tags": ["<em>"],
        "post_tags": ["</em>"],
        "fields": {
            "name": {"number_of_fragments": 0},
            "brand": {"number_of_fragments": 0},
            "category.path": {"number_of_fragments": 0},
            "description": {"number_of_fragments": 2, "fragment_size": 150},
        },
    }
