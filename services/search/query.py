"""The Elasticsearch request of a search: plain data, made without a server.

Every word must be found, in any field: by its stem, or with a typing error or two as a whole word, or written together with
its neighbour. Documents that have the words beside each other come first, and a whole SKU before all. Filters are applied
after the facets are counted, and each facet is counted under all filters but its own, so that a shopper sees what choosing
another value would give. Uses only what every distribution has: no scripts, no synonyms.
"""

from typing import Any

from services.search.facets import facets, filters, without_own
from services.search.schemas import PAGE_SIZE, Sort
from services.search.wanted import Wanted

Json = dict[str, Any]

# A name says what a thing is; a brand and a category tell it from others; a description mentions much.
STEMS = ["name_folded^4", "brand_folded^3", "category.path_folded^3", "description_folded"]
WHOLE = ["name_folded.words^4", "brand_folded.words^3", "category.path_folded.words^3"]
# A word that is near weighs less than the same word found, so that a correct word never loses to a typing error.
NEAR, TOGETHER = 0.4, 0.8
TOLERANT: Json = {"fuzziness": "AUTO", "prefix_length": 1, "max_expansions": 30}
CHEAP = 100 / 3
# Words beyond this many would multiply the fuzzy terms that Elasticsearch has to expand.
MAX_WORDS = 12
FOR_SALE: Json = {"term": {"status": "active"}}
SORTS: dict[Sort, list[Json]] = {
    "relevance": [{"_score": "desc"}, {"created_at": "desc"}, {"id": "asc"}],
    "price_asc": [{"price.amount_cents": {"order": "asc", "missing": "_last"}}, {"id": "asc"}],
    "price_desc": [{"price.amount_cents": {"order": "desc", "missing": "_last"}}, {"id": "asc"}],
    "newest": [{"created_at": "desc"}, {"id": "asc"}],
}
SHOWN = ["id", "sku", "name", "brand", "description", "price", "stock", "category.path"]
# Marks that no text for people holds; the service puts them into the original and writes them as HTML.
BEGIN, END = "\ue000", "\ue001"


def page(wanted: Wanted, number: int) -> Json:
    """The body of the `_search` request for one page of hits, with the facets of all."""
    chosen = filters(wanted)
    request: Json = {
        "query": matching(wanted.words),
        "post_filter": {"bool": {"filter": list(chosen.values())}},
        "aggs": {name: without_own(name, facet, chosen) for name, facet in facets().items()},
        "sort": SORTS[wanted.sort],
        "from": (number - 1) * PAGE_SIZE,
        "size": PAGE_SIZE,
        "track_total_hits": True,
        "_source": SHOWN,
    }
    if wanted.words:
        request["highlight"] = highlight(wanted.words)
    return request


def prices(wanted: Wanted) -> Json:
    """The body of the request for the price below which the cheapest third of the hits is, which is what `cheap` means."""
    return {
        "query": {"bool": {"must": [matching(wanted.words)], "filter": list(filters(wanted).values())}},
        "size": 0,
        "track_total_hits": False,
        "aggs": {"cheap": {"percentiles": {"field": "price.amount_cents", "percents": [CHEAP], "keyed": False}}},
    }


def cheap_bound(answer: Json) -> int | None:
    """That price in cents, from the answer; None when nothing has a price."""
    value = answer["aggregations"]["cheap"]["values"][0]["value"]
    return None if value is None else int(value)


def lot(wanted: Wanted, point: str, keep_alive: str, after: list[Any] | None, size: int) -> Json:
    """The body of the request for the hits that follow `after` as of a point in time."""
    request: Json = {
        "query": {"bool": {"must": [matching(wanted.words)], "filter": list(filters(wanted).values())}},
        "pit": {"id": point, "keep_alive": keep_alive},
        "sort": SORTS[wanted.sort],
        "size": size,
        "track_total_hits": after is None,
        "_source": SHOWN,
    }
    return request if after is None else request | {"search_after": after}


def matching(words: list[str]) -> Json:
    """What is for sale and has the words; none match everything."""
    return {"bool": {"must": [_text(words) if words else {"match_all": {}}], "filter": [FOR_SALE]}}


def _text(words: list[str]) -> Json:
    words = words[:MAX_WORDS]
    phrase = " ".join(words)
    beside = [{"match_phrase": {name: {"query": phrase, "boost": boost, "slop": 1}}} for name, boost in _PHRASES]
    return {
        "bool": {
            "should": [
                {"bool": {"must": [_word(words, place) for place in range(len(words))], "should": beside}},
                {"term": {"sku": {"value": phrase, "case_insensitive": True, "boost": 100}}},
            ],
            "minimum_should_match": 1,
        }
    }


_PHRASES = (("name_folded", 4), ("category.path_folded", 3), ("brand_folded", 3))


def _word(words: list[str], place: int) -> Json:
    word = words[place]
    ways: list[Json] = [
        _in_any(word, STEMS, 1),
        *(_in_any(pair, WHOLE, TOGETHER) for pair in _with_neighbours(words, place)),
    ]
    if _forgiven(word):
        ways.append(_in_any(word, WHOLE, NEAR))
        ways[-1]["multi_match"] |= TOLERANT
    return {"dis_max": {"queries": ways, "tie_breaker": 0.1}}


def _forgiven(word: str) -> bool:
    """Another number is another thing, not a typing error."""
    return not any(letter.isdigit() for letter in word)


def _in_any(word: str, fields: list[str], boost: float) -> Json:
    # `zero_terms_query`: a word of punctuation only asks for nothing
    return {
        "multi_match": {"query": word, "fields": fields, "operator": "and", "zero_terms_query": "all", "boost": boost}
    }


def _with_neighbours(words: list[str], place: int) -> list[str]:
    """`back pack` is found as `backpack`: the word joined with the one before, and with the one after."""
    pairs = [words[at] + words[at + 1] for at in (place - 1, place) if 0 <= at < len(words) - 1]
    return [pair for pair in pairs if pair.isalpha()]


def highlight(words: list[str]) -> Json:
    """Passages with the found words, folded as they are in the index."""
    words = words[:MAX_WORDS]
    pairs = {pair for place in range(len(words)) for pair in _with_neighbours(words, place)}
    stems = {"match": {"name_folded": " ".join([*words, *sorted(pairs)])}}
    near = [{"match": {"name_folded.words": {"query": word} | TOLERANT}} for word in words if _forgiven(word)]
    return {
        # A word counts in whatever field it is found, so it is asked once: field by field, Elasticsearch would expand every
        # fuzzy word anew for each field of each hit, which takes many times as long as the search itself.
        "require_field_match": False,
        "highlight_query": {"bool": {"should": [stems, *near]}},
        "pre_tags": [BEGIN],
        "post_tags": [END],
        "fields": {
            "name_folded": {"number_of_fragments": 0},
            "brand_folded": {"number_of_fragments": 0},
            "category.path_folded": {"number_of_fragments": 0},
            "description_folded": {"number_of_fragments": 2, "fragment_size": 150},
        },
    }
