"""The judged queries and their measure, without a server."""

from collections import Counter

import pytest

from bench.relevance.catalogue import COUNT, products
from bench.relevance.judged import Wanted, grades, queries
from bench.relevance.measure import ndcg

CLASSES = {"exact", "plural", "typo", "accent", "phrase", "brand", "category", "price words"}


def test_there_are_enough_queries_of_every_class_and_each_wants_something() -> None:
    catalogue = products()
    judged = queries(catalogue)
    counts = Counter(each.kind for each in judged)
    assert len(judged) >= 60 and set(counts) == CLASSES and min(counts.values()) >= 7
    assert len({each.typed for each in judged}) == len(judged)
    assert all(3 in grades(each.wanted, catalogue).values() for each in judged)


def test_the_catalogue_is_the_same_at_every_run() -> None:
    first, second = products(), products()
    assert first == second and len({product.sku for product in first}) == COUNT
    assert (first[0].sku, first[-1].cents) == (products()[0].sku, second[-1].cents)


def test_grades_follow_the_rules() -> None:
    catalogue = products()
    by_id = {product.id: product for product in catalogue}
    graded = grades(Wanted("Floor Lamp", high=9999), catalogue)
    for identifier, grade in graded.items():
        product = by_id[identifier]
        assert product.cents <= 9999
        assert (grade == 3) == (product.thing == "Floor Lamp")
        assert product.path[-1] == "Lamps"
    cheap = grades(Wanted("Floor Lamp", cheap=True), catalogue)
    lamps = sorted(product.cents for product in catalogue if product.thing == "Floor Lamp")
    best = [by_id[identifier].cents for identifier, grade in cheap.items() if grade == 3]
    assert sorted(best) == lamps[: -(-len(lamps) // 4)]


@pytest.mark.parametrize(
    ("order", "value"),
    [
        (["a", "b", "c"], 1.0),
        (["a"], 7 / (7 + 1 / 1.5849625)),
        (["x", "a", "b"], (7 / 1.5849625 + 1 / 2) / (7 + 1 / 1.5849625)),
        (["x"] * 10 + ["a"], 0.0),
        ([], 0.0),
    ],
)
def test_ndcg_as_in_its_formula(order: list[str], value: float) -> None:
    assert ndcg(order, {"a": 3, "b": 1}) == pytest.approx(value)
