"""Nodes that a table of links ties to their parent, and fields that several columns make."""

from collections.abc import Callable
from typing import Any

import pytest

from cdc.catalog import Shape
from cdc.documents import sql
from cdc.documents.affected import Change, Resolver
from cdc.documents.constraints import Constraints
from cdc.documents.forms import parse
from cdc.documents.problems import problems
from cdc.documents.resolve import resolve
from cdc.documents.trees import Field, Link, Tree
from cdc.errors import ConfigurationError
from tests.unit.documents.catalog import CONSTRAINTS, MANY, ONE, SHAPES, shape, tree

WARE, OTHER = "0190b6a0-0000-7000-8000-000000000001", "0190b6a0-0000-7000-8000-000000000002"
Row = dict[str, Any]


def tagged(**relationship: Any) -> dict[str, Any]:
    """A ware with its tags, by a table of links."""
    form = MANY | {"through_tables": ["ware_tags"]} | relationship
    return {
        "index": "tagged",
        "nodes": {
            "table": "wares",
            "columns": ["id", "name"],
            "children": [{"table": "tags", "columns": ["name"], "relationship": form}],
        },
        "mapping": {"id": {"type": "keyword"}, "name": {}, "tags": {"properties": {"name": {"type": "keyword"}}}},
    }


def related() -> dict[str, Any]:
    """A ware with the names of others, by a table with two foreign keys to the same table."""
    step = {"table": "related", "foreign_key": {"parent": ["id"], "child": ["ware_id"]}}
    above = {"parent": ["other_id"], "child": ["id"]}
    form = MANY | {"variant": "scalar", "through_tables": [step], "foreign_key": above}
    child = {"table": "wares", "label": "others", "columns": ["name"], "relationship": form}
    nodes = {"table": "wares", "columns": ["id"], "children": [child]}
    return {"index": "related", "nodes": nodes, "mapping": {"id": {"type": "keyword"}, "others": {"type": "text"}}}


def affected(of: Tree, table: str, before: Row | None, after: Row | None) -> tuple[set[Any], dict[int, Any]]:
    found = Resolver([of]).affected([Change(f"shop.public.{table}", "u", before, after, 1, 1)])
    return found.roots[of.index], {number: values for (_, number), values in found.lookups.items()}


def test_a_table_of_links_stands_between_and_shows_nothing() -> None:
    root, links, tags = (path[-1] for path in tree(tagged()).paths())
    assert (links.shape.table, links.through, links.fields) == ("ware_tags", True, ())
    assert links.link == Link(parent=("id",), child=("ware_id",))
    assert tags.link == Link(parent=("tag_id",), child=("id",))
    assert (root.children, links.children, tags.many) == ((links,), (tags,), True)


def test_bodies_join_the_links_with_what_they_lead_to() -> None:
    assert (
        'FROM "public"."ware_tags" "t1" JOIN "public"."tags" "t2" ON "t2"."id" = "t1"."tag_id"'
        ' WHERE "t1"."ware_id" = "t0"."id"'
    ) in sql.read_bodies(tree(tagged())).as_string()


def test_a_link_that_comes_goes_or_leads_elsewhere_names_its_roots() -> None:
    link = {"ware_id": WARE, "tag_id": 1}
    assert affected(tree(tagged()), "ware_tags", None, link) == ({(WARE,)}, {})
    assert affected(tree(tagged()), "ware_tags", link, None) == ({(WARE,)}, {})
    assert affected(tree(tagged()), "ware_tags", link, link | {"tag_id": 2}) == ({(WARE,)}, {})
    assert affected(tree(tagged()), "ware_tags", link, link | {"ware_id": OTHER}) == ({(WARE,), (OTHER,)}, {})


def test_a_row_behind_links_is_looked_up_through_them() -> None:
    assert affected(tree(tagged()), "tags", {"id": 1, "name": "a"}, {"id": 1, "name": "b"}) == (set(), {2: {("1",)}})
    path = list(tree(tagged()).paths())[2]
    assert sql.roots_of(path).as_string() == (
        'SELECT DISTINCT t0."id"::text FROM "public"."wares" t0 JOIN "public"."ware_tags" "t1" ON'
        ' "t1"."ware_id" = "t0"."id" WHERE ("t1"."tag_id") IN (SELECT * FROM unnest(%s::text[]::int8[]) u ("k0"))'
    )


def test_a_table_that_names_the_parent_twice_says_which_foreign_key_leads_where() -> None:
    _, links, others = (path[-1] for path in tree(related()).paths())
    assert (links.link, others.link) == (Link(("id",), ("ware_id",)), Link(("other_id",), ("id",)))
    row = {"id": 1, "ware_id": WARE, "other_id": OTHER}
    assert affected(tree(related()), "related", None, row) == ({(WARE,)}, {})
    named = {"id": WARE, "section_id": 1, "name": "a", "updated_at": None}
    assert affected(tree(related()), "wares", named, named | {"name": "b"}) == (set(), {2: {(WARE,)}})
    assert affected(tree(related()), "wares", None, named) == ({(WARE,)}, {2: {(WARE,)}})


def test_a_table_of_links_needs_the_image_that_names_its_old_parent() -> None:
    shapes = [each for each in SHAPES if each.table != "related"]
    shapes.append(shape("related", "id", "ware_id:uuid", "other_id:uuid", identity="default"))
    found = problems([resolve("shop", parse("shop", related()), shapes, CONSTRAINTS)], shapes)
    assert len(found) == 1
    assert 'run: ALTER TABLE "public"."related" REPLICA IDENTITY FULL;' in found[0]


def _no_such_table(document: dict[str, Any]) -> None:
    _relationship(document)["through_tables"] = ["ghosts"]


def _no_path(document: dict[str, Any]) -> None:
    _relationship(document)["through_tables"] = ["notes"]


def _no_way_on(document: dict[str, Any]) -> None:
    _relationship(document)["through_tables"] = ["prices"]


def _only_one(document: dict[str, Any]) -> None:
    _relationship(document).update(ONE)


def _ambiguous(document: dict[str, Any]) -> None:
    document["nodes"]["children"][0] |= {"table": "wares", "relationship": MANY | {"through_tables": ["related"]}}


def _misspelt(document: dict[str, Any]) -> None:
    _relationship(document)["through_table"] = ["ware_tags"]


def _relationship(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["nodes"]["children"][0]["relationship"]
    return found


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_no_such_table, "no table public.ghosts"),
        (_no_path, "no foreign key links it with public.notes"),
        (_no_way_on, "no foreign key links it with public.prices"),
        (_only_one, r"table ware_tags: one_to_one needs a unique index on \(ware_id\)"),
        (_ambiguous, "more than one foreign key links it with public.wares: name `foreign_key"),
        (_misspelt, "through_table"),
    ],
)
def test_links_that_lead_nowhere_are_refused_by_name(spoil: Callable[[dict[str, Any]], None], says: str) -> None:
    document = tagged()
    spoil(document)
    with pytest.raises(ConfigurationError, match=says) as refused:
        tree(document)
    assert "\n" not in str(refused.value)


def test_one_to_one_through_links_is_taken_where_the_database_holds_it() -> None:
    unique: dict[str, tuple[frozenset[str], ...]] = CONSTRAINTS.unique | {"public.ware_tags": (frozenset({"ware_id"}),)}
    shapes: list[Shape] = SHAPES
    found = resolve("shop", parse("shop", tagged(**ONE)), shapes, Constraints(CONSTRAINTS.foreign_keys, unique))
    assert [path[-1].many for path in found.paths()] == [False, False, False]


def _joined(*columns: str) -> dict[str, Any]:
    document = tagged()
    document["nodes"]["transform"] = {"concat": {"columns": columns, "destination": "title", "delimiter": " / "}}
    document["mapping"]["title"] = {"type": "text"}
    return document


def test_columns_are_joined_into_one_field_and_count_as_shown() -> None:
    root = tree(_joined("name", "section_id")).root
    assert root.fields[-1] == Field("name", "title", others=("section_id",), delimiter=" / ")
    assert "section_id" in root.read_columns()
    body = sql.read_bodies(tree(_joined("name", "section_id"))).as_string()
    assert """concat_ws(' / ', "t0"."name"::text, "t0"."section_id"::text) AS "title\"""" in body


def test_joined_columns_must_be_there() -> None:
    with pytest.raises(ConfigurationError, match="no column colour"):
        tree(_joined("name", "colour"))
