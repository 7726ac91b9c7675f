"""Trees from source files: what is understood, what is refused, and the SQL that they become."""

from collections.abc import Callable
from typing import Any

import pytest

from cdc.catalog import Shape
from cdc.documents import sql
from cdc.documents.constraints import Constraints
from cdc.documents.folding import MARK, folded
from cdc.documents.forms import parse
from cdc.documents.problems import problems
from cdc.documents.resolve import resolve
from cdc.documents.trees import Field, Link
from cdc.errors import ConfigurationError
from tests.unit.documents.catalog import (
    CONSTRAINTS,
    MANY,
    ONE,
    SHAPES,
    pairs_document,
    shape,
    tree,
    wares_document,
)


def test_links_follow_the_foreign_key_in_either_direction() -> None:
    links = {path[-1].label: path[-1].link for path in tree(wares_document()).paths()}
    assert links == {
        "wares": None,
        "section": Link(parent=("section_id",), child=("id",)),
        "shop": Link(parent=("shop_id",), child=("id",)),
        "price": Link(parent=("id",), child=("ware_id",)),
        "notes": Link(parent=("id",), child=("ware_id",)),
        "replies": Link(parent=("id",), child=("note_id",)),
    }


def test_transforms_name_fields() -> None:
    [price] = [path[-1] for path in tree(wares_document()).paths() if path[-1].label == "price"]
    assert price.fields == (Field("amount", "amount_cents", cents=True), Field("currency", "in"))


def test_topics_are_those_of_every_table() -> None:
    assert tree(pairs_document()).topics == {"shop.public.pairs", "shop.public.pair_tags"}


def _children(document: dict[str, Any]) -> list[dict[str, Any]]:
    children: list[dict[str, Any]] = document["nodes"]["children"]
    return children


def _root_of_unknown_table(document: dict[str, Any]) -> None:
    document["nodes"]["table"] = "ghosts"


def _unknown_column(document: dict[str, Any]) -> None:
    document["nodes"]["columns"].append("colour")


def _unknown_key(document: dict[str, Any]) -> None:
    document["nodes"]["colums"] = ["id"]


def _child_without_relationship(document: dict[str, Any]) -> None:
    del _children(document)[0]["relationship"]


def _one_to_one_without_unique_index(document: dict[str, Any]) -> None:
    _children(document)[2]["relationship"] = ONE


def _unlinked_child(document: dict[str, Any]) -> None:
    _children(document).append({"table": "pairs", "columns": ["name"], "relationship": MANY})


def _unknown_link(document: dict[str, Any]) -> None:
    _children(document)[1]["relationship"] = ONE | {"foreign_key": {"parent": ["id"], "child": ["nothing"]}}


def _field_without_mapping(document: dict[str, Any]) -> None:
    del document["mapping"]["section"]["properties"]["shop"]["properties"]["city"]


def _doubled_field(document: dict[str, Any]) -> None:
    document["nodes"]["transform"] = {"rename": {"name": "id"}}


def _cents_of_a_text(document: dict[str, Any]) -> None:
    document["nodes"]["transform"] = {"cents": {"name": "name_cents"}}


def _fold_of_a_number(document: dict[str, Any]) -> None:
    document["nodes"]["transform"] = {"fold": {"id": "id_folded"}}


def _fold_without_mapping(document: dict[str, Any]) -> None:
    document["nodes"]["transform"] = {"fold": {"name": "name_folded"}}


def _fold_of_a_column_not_shown(document: dict[str, Any]) -> None:
    document["nodes"]["transform"] = {"fold": {"section_id": "folded"}}


def _scalar_of_two(document: dict[str, Any]) -> None:
    _children(document)[1]["relationship"] = ONE | {"variant": "scalar"}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_root_of_unknown_table, "no table public.ghosts"),
        (_unknown_column, "no column colour"),
        (_unknown_key, "colums"),
        (_child_without_relationship, "a child needs `relationship"),
        (_one_to_one_without_unique_index, r"one_to_one needs a unique index on \(ware_id\)"),
        (_unlinked_child, "no foreign key links it with public.wares: name `foreign_key"),
        (_unknown_link, "unknown or unpaired columns nothing"),
        (_field_without_mapping, "`mapping` has no field city"),
        (_doubled_field, "two fields are called id"),
        (_cents_of_a_text, "cents needs name to be numeric"),
        (_fold_of_a_number, "fold needs id to be one of _text, text, varchar"),
        (_fold_without_mapping, "`mapping` has no field name_folded"),
        (_fold_of_a_column_not_shown, "transform names section_id, not in `columns`"),
        (_scalar_of_two, "exactly one column"),
    ],
)
def test_a_wrong_tree_is_refused_by_name(spoil: Callable[[dict[str, Any]], None], says: str) -> None:
    document = wares_document()
    spoil(document)
    with pytest.raises(ConfigurationError, match=says) as refused:
        tree(document)
    assert "\n" not in str(refused.value)


def test_an_ambiguous_foreign_key_must_be_chosen() -> None:
    both = Constraints(
        (*CONSTRAINTS.foreign_keys, ("public.wares", ("section_id",), "public.sections", ("shop_id",))),
        CONSTRAINTS.unique,
    )
    document = wares_document()
    with pytest.raises(ConfigurationError, match="more than one foreign key"):
        resolve("shop", parse("shop", document), SHAPES, both)
    _children(document)[0]["relationship"] = ONE | {"foreign_key": {"parent": ["section_id"], "child": ["id"]}}
    assert resolve("shop", parse("shop", document), SHAPES, both).index == "wares"


def test_a_key_that_events_spell_differently_is_refused() -> None:
    shapes = [shape("days", "day:date", "name:text", key=("day",))]
    document = {"index": "days", "nodes": {"table": "days", "columns": ["name"]}, "mapping": {"name": {"type": "text"}}}
    with pytest.raises(ConfigurationError, match="day is date; keys and links must be one of"):
        resolve("shop", parse("shop", document), shapes, CONSTRAINTS)


def test_bodies_are_read_in_one_statement() -> None:
    text = sql.read_bodies(tree(wares_document())).as_string()
    assert "unnest(%s::text[]::uuid[])" in text
    assert '("t1"."amount" * 100)::int8 AS "amount_cents"' in text
    assert 'FROM "public"."shops" "t2" WHERE "t2"."id" = "t1"."shop_id"' in text
    assert 'coalesce(json_agg("t2"."body" ORDER BY "t2"."id"), \'[]\'::json)' in text


def folding_document() -> dict[str, Any]:
    document = wares_document()
    document["nodes"]["transform"] = {"fold": {"name": "name_folded"}}
    document["mapping"]["name_folded"] = {"type": "text"}
    return document


def test_a_folded_column_is_shown_a_second_time() -> None:
    root = tree(folding_document()).root
    assert root.fields[-2:] == (Field("name", "name"), Field("name", "name_folded", fold=True))
    assert f'\'{MARK}\' || "t0"."name" AS "name_folded"' in sql.read_bodies(tree(folding_document())).as_string()
    assert (tree(folding_document()).folds, tree(wares_document()).folds) == (True, False)


def test_only_marked_texts_are_folded_and_nothing_else_is_touched() -> None:
    body = (
        f'{{"a":"Café","b":"{MARK}Stra\\u00dfe \\"\\\\ Café","n":1.000000000000000000001,"l":["{MARK}É"],"c":"fold:É"}}'
    )
    assert folded(body) == '{"a":"Café","b":"strasse \\"\\\\ cafe","n":1.000000000000000000001,"l":["e"],"c":"fold:É"}'


def test_another_mapping_setting_or_fold_is_another_form() -> None:
    other_mapping, other_settings = wares_document(), wares_document()
    other_mapping["mapping"]["name"] = {"type": "keyword"}
    other_settings["settings"] = {"analysis": {"analyzer": {"plain": {"type": "simple"}}}}
    forms = [wares_document(), other_mapping, other_settings, folding_document()]
    assert len({tree(document).written for document in forms}) == 4


def test_roots_are_found_by_walking_up() -> None:
    paths = {path[-1].label: path for path in tree(wares_document()).paths()}
    assert sql.roots_of(paths["shop"]).as_string() == (
        'SELECT DISTINCT t0."id"::text FROM "public"."wares" t0 JOIN "public"."sections" "t1" ON'
        ' "t1"."id" = "t0"."section_id" WHERE ("t1"."shop_id") IN (SELECT * FROM unnest(%s::text[]::int8[]) u ("k0"))'
    )


def _with_identity(table: str, identity: Any) -> list[Shape]:
    return [
        shape(each.table, *(f"{c.name}:{c.type}" for c in each.columns), key=each.key, identity=identity)
        if each.table == table
        else each
        for each in SHAPES
    ]


def test_a_child_that_cannot_name_its_old_parent_is_a_problem() -> None:
    shapes = _with_identity("notes", "default")
    found = problems([resolve("shop", parse("shop", wares_document()), shapes, CONSTRAINTS)], shapes)
    assert len(found) == 1
    assert 'run: ALTER TABLE "public"."notes" REPLICA IDENTITY FULL;' in found[0]


def test_a_child_linked_by_its_own_key_needs_no_full_identity() -> None:
    shapes = _with_identity("prices", "default")
    assert problems([resolve("shop", parse("shop", wares_document()), shapes, CONSTRAINTS)], shapes) == []


def test_a_table_outside_of_the_publication_is_a_problem() -> None:
    captured = [each for each in SHAPES if each.table != "shops"]
    assert problems([tree(wares_document())], captured) == [
        "documents of index wares: table public.shops is not captured; add it to `tables` of source shop"
    ]
