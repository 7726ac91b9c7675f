"""Suggestions as one types: the request, and what its answer says.

Every word but the last is whole, the last may be unfinished; both in any order and in whatever spelling of case and accents.
The index keeps the beginnings of its words, so an unfinished word costs no more than a whole one.
"""

from typing import Any

from services.search.folding import fold
from services.search.query import FOR_SALE, MAX_WORDS
from services.search.schemas import SuggestedCategory, SuggestedProduct, Suggestions, SuggestQuery

Json = dict[str, Any]


def request(asked: SuggestQuery) -> Json | None:
    """The body of the `_search` request; None when nothing has been typed."""
    words = fold(asked.q).split()[:MAX_WORDS]
    if not words:
        return None
    name, brand, category = (
        _begun(words, field) for field in ("name_folded.words", "brand_folded.words", "category.path_folded.words")
    )
    category_of_hit = {"top_hits": {"size": 1, "_source": ["category.path"]}}
    return {
        "query": {"bool": {"should": [name, brand, category], "minimum_should_match": 1, "filter": [FOR_SALE]}},
        "post_filter": name,
        "size": asked.limit,
        "sort": [{"_score": "desc"}, {"created_at": "desc"}, {"id": "asc"}],
        "track_total_hits": False,
        "_source": ["id", "name"],
        "aggs": {
            "brands": {
                "filter": brand,
                "aggs": {"values": {"terms": {"field": "brand.keyword", "size": asked.limit}}},
            },
            "categories": {
                "filter": category,
                "aggs": {
                    "values": {
                        "terms": {"field": "category.slug", "size": asked.limit},
                        "aggs": {"shown": category_of_hit},
                    }
                },
            },
        },
    }


def _begun(words: list[str], field: str) -> Json:
    return {"match_bool_prefix": {field: {"query": " ".join(words), "operator": "and"}}}


def suggestions(answer: Json) -> Suggestions:
    """What Elasticsearch's answer suggests."""
    categories = answer["aggregations"]["categories"]["values"]["buckets"]
    return Suggestions(
        products=[SuggestedProduct.model_validate(hit["_source"]) for hit in answer["hits"]["hits"]],
        brands=[bucket["key"] for bucket in answer["aggregations"]["brands"]["values"]["buckets"]],
        categories=[
            SuggestedCategory(
                slug=bucket["key"], path=bucket["shown"]["hits"]["hits"][0]["_source"]["category"]["path"]
            )
            for bucket in categories
        ],
    )
