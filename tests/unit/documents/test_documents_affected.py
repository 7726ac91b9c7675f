"""From change events to the documents they concern."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.documents.affected import Affected, Change, Resolver, decode
from cdc.documents.flush import distinct
from cdc.documents.reading import document_id, root_key
from cdc.documents.verify import canonical
from tests.unit.documents.catalog import pairs_document, tree, wares_document

WARE, OTHER = "0190b6a0-0000-7000-8000-000000000001", "0190b6a0-0000-7000-8000-000000000002"
Row = dict[str, Any]


def affected(table: str, before: Row | None, after: Row | None, operation: str = "u") -> Affected:
    resolver = Resolver([tree(wares_document()), tree(pairs_document())])
    return resolver.affected([Change(f"shop.public.{table}", operation, before, after, 1, 1)])


def test_a_root_row_names_itself() -> None:
    row = {"id": WARE, "section_id": 1, "name": "knife", "updated_at": "x"}
    assert affected("wares", None, row, "c").roots == {"wares": {(WARE,)}}
    assert affected("wares", row, None, "d").roots == {"wares": {(WARE,)}}


def test_a_child_that_moves_names_both_parents() -> None:
    before, after = {"id": 1, "ware_id": WARE, "body": "b"}, {"id": 1, "ware_id": OTHER, "body": "b"}
    assert affected("notes", before, after).roots == {"wares": {(WARE,), (OTHER,)}}


def test_a_row_that_many_roots_show_is_looked_up() -> None:
    found = affected("sections", {"id": 7, "shop_id": 1, "title": "a"}, {"id": 7, "shop_id": 1, "title": "b"})
    assert (dict(found.roots), dict(found.lookups)) == ({}, {("wares", 1): {("7",)}})


def test_a_grandchild_is_looked_up_through_its_parent() -> None:
    found = affected("replies", None, {"id": 1, "note_id": 5, "body": "x"}, "c")
    assert list(found.lookups.values()) == [{("5",)}]


def test_an_update_of_columns_that_are_not_shown_concerns_nothing() -> None:
    row = {"id": WARE, "section_id": 1, "name": "knife", "updated_at": "x"}
    found = affected("wares", row, row | {"updated_at": "y"})
    assert not found.roots and not found.lookups


def test_an_update_without_its_old_image_always_counts() -> None:
    row = {"id": WARE, "section_id": 1, "name": "knife", "updated_at": "x"}
    assert affected("wares", None, row).roots == {"wares": {(WARE,)}}


def test_a_null_link_names_no_root() -> None:
    assert not affected("notes", None, {"id": 1, "ware_id": None, "body": "b"}, "c").roots


def test_a_composite_key_is_put_in_the_order_of_the_root() -> None:
    row = {"id": 1, "pair_b": "x", "pair_a": 3, "tag": "t"}
    assert affected("pair_tags", None, row, "c").roots == {"pairs": {("3", "x")}}


def test_a_truncate_rebuilds_its_trees() -> None:
    assert affected("replies", None, None, "t").rebuild == {"wares"}


def test_decode_reads_the_envelope() -> None:
    value = orjson.dumps({"before": None, "after": {"id": 1}, "source": {"lsn": 8, "txId": 77}, "op": "c", "ts_ms": 1})
    assert decode("t", value, 3) == Change("t", "c", None, {"id": 1}, 77, 3)


@pytest.mark.parametrize("value", [b"{}", b"not json", b'{"op": "c"}', b"[]"])
def test_decode_refuses_what_is_no_envelope(value: bytes) -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        decode("t", value, 1)


@given(st.lists(st.text(), min_size=1, max_size=4).map(tuple))
def test_document_ids_are_unambiguous(key: tuple[str, ...]) -> None:
    assert root_key(document_id(key), len(key)) == key


@given(st.lists(st.lists(st.integers().map(lambda n: (str(n),)), max_size=20), max_size=10), st.integers(1, 30))
def test_distinct_keeps_every_key(lots: list[list[tuple[str, ...]]], most: int) -> None:
    sets = list(distinct(lots, most))
    assert {key for found in sets for key in found} == {key for lot in lots for key in lot}
    assert all(len(found) < most + 20 for found in sets)


def test_documents_are_compared_by_content() -> None:
    assert canonical('{"b": 1.50, "a": [null, "é"]}') == canonical('{"a":[null,"\\u00e9"],"b":1.5}')
    assert canonical('{"a": 1}') != canonical('{"a": "1"}')
    assert canonical(None) is None
