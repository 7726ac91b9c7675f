"""A throw-away index of product documents, mapped as the source file maps products."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

import yaml
from elasticsearch import Elasticsearch

from cdc.documents.folding import fold
from stack.demo.catalogue import slug

SOURCE = Path(__file__).resolve().parents[2] / "cdc" / "sources" / "products.yaml"


def categories(path: Sequence[str]) -> dict[str, Any]:
    """The category of a document, with those above it."""
    above: dict[str, Any] | None = None
    for depth in range(1, len(path)):
        above = {"name": path[depth - 1], "slug": slug(tuple(path[:depth])), "parent": above}
    name = slug(tuple(path))
    own = {"id": str(uuid5(NAMESPACE_URL, name)), "name": path[-1], "slug": name, "path": list(path)}
    return own | {"parent": above}


def folded(document: dict[str, Any]) -> dict[str, Any]:
    """The document with its folded fields, as the engine writes them."""
    category = document["category"]
    return document | {
        **{f"{name}_folded": fold(document[name]) for name in ("name", "brand", "description")},
        "category": category | {"path_folded": [fold(name) for name in category["path"]]},
    }


@contextmanager
def filled(client: Elasticsearch, documents: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The name of an index that holds these documents, for the block."""
    name = f"relevance-{uuid4().hex[:8]}"
    form = yaml.safe_load(SOURCE.read_text())["documents"][0]
    client.indices.create(
        index=name,
        mappings={"dynamic": "strict", "properties": form["mapping"]},
        settings={"number_of_replicas": 0} | form["settings"],
    )
    try:
        operations = [line for each in documents for line in ({"index": {"_id": each["id"]}}, each)]
        answer = client.bulk(index=name, operations=operations, refresh=True)
        assert not answer["errors"], next(item for item in answer["items"] if "error" in item["index"])
        yield name
    finally:
        client.indices.delete(index=name)
