"""A small catalog for the document tests: shops with sections, wares in them, and notes on wares, three levels deep."""

from typing import Any

from cdc.catalog import Column, ReplicaIdentity, Shape
from cdc.documents.constraints import Constraints
from cdc.documents.forms import parse
from cdc.documents.resolve import resolve
from cdc.documents.trees import Tree


def shape(table: str, *columns: str, key: tuple[str, ...] = ("id",), identity: ReplicaIdentity = "full") -> Shape:
    """A table whose columns are written `name:type`, or `name` for int8."""
    parsed = tuple(
        Column(name, kind or "int8", nullable=False, precision=12, scale=2)
        for name, _, kind in (column.partition(":") for column in columns)
    )
    return Shape("shop", "public", table, parsed, key, identity)


SHAPES = [
    shape("wares", "id:uuid", "section_id", "name:text", "updated_at:timestamptz"),
    shape("sections", "id", "shop_id", "title:text"),
    shape("shops", "id", "city:text"),
    shape("prices", "ware_id:uuid", "amount:numeric", "currency:bpchar", key=("ware_id",)),
    shape("notes", "id", "ware_id:uuid", "body:text"),
    shape("replies", "id", "note_id", "body:text"),
    shape("pairs", "a", "b:text", "name:text", key=("a", "b")),
    shape("tags", "id", "name:text"),
    shape("ware_tags", "ware_id:uuid", "tag_id", key=("ware_id", "tag_id")),
    shape("related", "id", "ware_id:uuid", "other_id:uuid"),
    shape("pair_tags", "id", "pair_b:text", "pair_a", "tag:text"),
]
CONSTRAINTS = Constraints(
    foreign_keys=(
        ("public.wares", ("section_id",), "public.sections", ("id",)),
        ("public.sections", ("shop_id",), "public.shops", ("id",)),
        ("public.prices", ("ware_id",), "public.wares", ("id",)),
        ("public.notes", ("ware_id",), "public.wares", ("id",)),
        ("public.replies", ("note_id",), "public.notes", ("id",)),
        ("public.ware_tags", ("ware_id",), "public.wares", ("id",)),
        ("public.ware_tags", ("tag_id",), "public.tags", ("id",)),
        ("public.related", ("ware_id",), "public.wares", ("id",)),
        ("public.related", ("other_id",), "public.wares", ("id",)),
        ("public.pair_tags", ("pair_b", "pair_a"), "public.pairs", ("b", "a")),
    ),
    unique={each.qualified: (frozenset(each.key),) for each in SHAPES},
)
ONE = {"type": "one_to_one"}
MANY = {"type": "one_to_many"}


def wares_document() -> dict[str, Any]:
    """A tree with every kind of link: to a parent's parent, to a single child, to children of children."""
    return {
        "index": "wares",
        "nodes": {
            "table": "wares",
            "columns": ["id", "name"],
            "children": [
                {
                    "table": "sections",
                    "label": "section",
                    "columns": ["title"],
                    "relationship": ONE,
                    "children": [{"table": "shops", "label": "shop", "columns": ["city"], "relationship": ONE}],
                },
                {
                    "table": "prices",
                    "label": "price",
                    "columns": ["amount", "currency"],
                    "relationship": ONE,
                    "transform": {"cents": {"amount": "amount_cents"}, "rename": {"currency": "in"}},
                },
                {
                    "table": "notes",
                    "columns": ["body"],
                    "relationship": MANY,
                    "children": [
                        {"table": "replies", "columns": ["body"], "relationship": MANY | {"variant": "scalar"}},
                    ],
                },
            ],
        },
        "mapping": {
            "id": {"type": "keyword"},
            "name": {"type": "text"},
            "section": {
                "properties": {
                    "title": {"type": "text"},
                    "shop": {"properties": {"city": {"type": "keyword"}}},
                }
            },
            "price": {"properties": {"amount_cents": {"type": "long"}, "in": {"type": "keyword"}}},
            "notes": {"properties": {"body": {"type": "text"}, "replies": {"type": "text"}}},
        },
    }


def pairs_document() -> dict[str, Any]:
    """A root with a key of two columns, whose children name it in the other order."""
    return {
        "index": "pairs",
        "nodes": {
            "table": "pairs",
            "columns": ["name"],
            "children": [
                {
                    "table": "pair_tags",
                    "label": "tags",
                    "columns": ["tag"],
                    "relationship": MANY | {"variant": "scalar"},
                }
            ],
        },
        "mapping": {"name": {"type": "text"}, "tags": {"type": "keyword"}},
    }


def tree(document: dict[str, Any]) -> Tree:
    """The document's tree over this catalog."""
    return resolve("shop", parse("shop", document), SHAPES, CONSTRAINTS)
