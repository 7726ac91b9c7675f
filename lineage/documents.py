"""Which columns the documents of a search index are read from: the trees in cdc/sources/*.yaml."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

SOURCES = Path(__file__).resolve().parents[1] / "cdc" / "sources"


def indexed(folder: Path = SOURCES) -> Iterator[tuple[str, str]]:
    """(`index.products.price.amount`, `products.public.prices.amount`) for every field of every document."""
    for path in sorted(folder.glob("*.yaml")):
        source = yaml.safe_load(path.read_text())
        for document in source.get("documents", ()):
            yield from _fields(source["source"], f"index.{document['index']}", document["nodes"])


def _fields(source: str, place: str, node: dict[str, Any]) -> Iterator[tuple[str, str]]:
    table = f"{source}.{node.get('schema', 'public')}.{node['table']}"
    for column in node.get("columns", ()):
        yield f"{place}.{column}", f"{table}.{column}"
    for child in node.get("children", ()):
        inner = f"{place}.{child.get('label', child['table'])}"
        yield from _fields(source, inner, child)
        for column in child.get("relationship", {}).get("foreign_key", {}).get("child", ()):
            yield f"{inner}.*", f"{source}.{child.get('schema', 'public')}.{child['table']}.{column}"
        for column in child.get("relationship", {}).get("foreign_key", {}).get("parent", ()):
            yield f"{inner}.*", f"{table}.{column}"
