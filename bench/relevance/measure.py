"""nDCG@10 of the search beside a plain `match` on name and description, by class of queries, in one run.

DCG@k = sum over places i = 1..k of (2^grade - 1) / log2(i + 1), as of Burges et al., Learning to Rank using Gradient Descent
(ICML 2005), after Järvelin and Kekäläinen, Cumulated Gain-based Evaluation of IR Techniques (ACM TOIS 20:4, 2002);
nDCG is DCG over that of the best order there is. A query counts the same as any other of its class, and all queries alike.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from elasticsearch import Elasticsearch

from bench.relevance.catalogue import products
from bench.relevance.index import filled
from bench.relevance.judged import Judged, grades, queries
from bench.report import Metric
from services.search import query
from services.search.schemas import SearchQuery
from services.search.wanted import at_most, wanted

K = 10
AHEAD = 0.10  # what the search has to be better by

Ask = Callable[[Elasticsearch, str, str], list[str]]


@dataclass(frozen=True)
class Outcome:
    """One query's nDCG@10 by the search and by a plain match, and how long each took in milliseconds."""

    judged: Judged
    ours: float
    plain: float
    ours_ms: float
    plain_ms: float


def ndcg(found: Sequence[str], graded: dict[str, int]) -> float:
    """Of ids in the order found."""
    best = _dcg(sorted(graded.values(), reverse=True)[:K])
    return _dcg([graded.get(identifier, 0) for identifier in found[:K]]) / best


def _dcg(gains: Sequence[int]) -> float:
    return sum((2.0**grade - 1) / math.log2(place + 1) for place, grade in enumerate(gains, 1))


def ours(client: Elasticsearch, index: str, typed: str) -> list[str]:
    """Ids found by the requests of the search service."""
    want = wanted(SearchQuery(q=typed))
    if want.cheap:
        bound = query.cheap_bound(dict(client.search(index=index, body=query.prices(want)).body))
        want = want if bound is None else at_most(want, bound)
    return _ids(client, index, query.page(want, 1))


def plain(client: Elasticsearch, index: str, typed: str) -> list[str]:
    """Ids found by a `match` on name and description, with nothing else done."""
    return _ids(
        client,
        index,
        {"query": {"multi_match": {"query": typed, "fields": ["name", "description"]}}, "size": K},
    )


def _ids(client: Elasticsearch, index: str, body: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in client.search(index=index, body=body)["hits"]["hits"]]


def outcomes(client: Elasticsearch) -> list[Outcome]:
    """Every judged query asked both ways."""
    catalogue = products()
    with filled(client, (product.document() for product in catalogue)) as index:
        judged = [(each, grades(each.wanted, catalogue)) for each in queries(catalogue)]
        return [_outcome(client, index, each, graded) for each, graded in judged]


def _outcome(client: Elasticsearch, index: str, judged: Judged, graded: dict[str, int]) -> Outcome:
    def asked(way: Ask) -> tuple[float, float]:
        began = time.perf_counter()
        found = way(client, index, judged.typed)
        return ndcg(found, graded), (time.perf_counter() - began) * 1000

    (mine, mine_ms), (other, other_ms) = asked(ours), asked(plain)
    return Outcome(judged, mine, other, mine_ms, other_ms)


def metrics(found: Sequence[Outcome]) -> list[Metric]:
    """By class and for all: ours, beside the plain match as its ceiling column."""
    kinds = list(dict.fromkeys(outcome.judged.kind for outcome in found))
    lines = [_line(kind, [outcome for outcome in found if outcome.judged.kind == kind]) for kind in kinds]
    lead = statistics.fmean(outcome.ours - outcome.plain for outcome in found)
    return [
        Metric("judged queries", len(found), "queries"),
        *lines,
        _line("all", found),
        Metric("all: ahead of match by", round(lead, 3), "nDCG@10", bar=AHEAD, met=lead >= AHEAD),
        Metric("search p50", round(statistics.median(each.ours_ms for each in found), 2), "ms"),
        Metric("match p50", round(statistics.median(each.plain_ms for each in found), 2), "ms"),
    ]


def _line(name: str, found: Sequence[Outcome]) -> Metric:
    mine, other = (round(statistics.fmean(values), 3) for values in ([o.ours for o in found], [o.plain for o in found]))
    return Metric(f"{name}: search, ceiling column: match", mine, "nDCG@10", ceiling=other)
