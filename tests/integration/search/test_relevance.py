"""The search finds what is wanted, clearly better than a plain match does in the same run."""

import statistics
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from bench.relevance.measure import AHEAD, Outcome, outcomes

# Far below what was measured: a class that falls to this has lost what it is there for.
LEAST = {"exact": 0.9, "plural": 0.9, "typo": 0.9, "accent": 0.9, "phrase": 0.75, "brand": 0.9, "category": 0.9}


@pytest.fixture(scope="module")
def found(stack: Any) -> Iterator[list[Outcome]]:
    """Every judged query asked both ways."""
    with Elasticsearch(stack.env["ELASTICSEARCH_URL"], request_timeout=60) as client:
        yield outcomes(client)


def test_it_is_clearly_ahead_of_a_plain_match(found: list[Outcome]) -> None:
    assert statistics.fmean(outcome.ours - outcome.plain for outcome in found) >= AHEAD


def test_no_class_of_queries_is_behind(found: list[Outcome]) -> None:
    for kind in Counter(outcome.judged.kind for outcome in found):
        of_kind = [outcome for outcome in found if outcome.judged.kind == kind]
        ours, plain = (statistics.fmean(values) for values in ([o.ours for o in of_kind], [o.plain for o in of_kind]))
        print(f"{kind}: nDCG@10 {ours:.3f}, plain match {plain:.3f}")
        assert ours >= max(plain - 0.01, LEAST.get(kind, 0)), kind
