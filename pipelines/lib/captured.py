"""Which raw tables and search indexes there are, read from files: no server is asked, so the location loads without one."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from pipelines.lib.manifest import PROJECT, ensure_manifest

PREFIX = "raw_"
NO_COPIES = frozenset({"raw_millrace", "raw_clickstream", "clickhouse"})
"""What the sink and ClickHouse say about themselves, and events that only Kafka had: nothing in PostgreSQL to be equal to."""
LOG = "__history"
"""How the log of a table's versions ends: it has rows that PostgreSQL has no more."""
SOURCE_FILES = PROJECT.parent / "cdc" / "sources"


@dataclass(frozen=True, order=True)
class CapturedTable:
    """A table of a source database and its copy, `raw_<source>.<table>` (`<schema>__<table>` outside public)."""

    source: str
    name: str
    description: str = ""

    @property
    def key(self) -> list[str]:
        return [f"{PREFIX}{self.source}", self.name]

    @property
    def qualified(self) -> str:
        """`<schema>.<table>` as the source database knows it."""
        schema, _, table = self.name.rpartition("__")
        return f"{schema or 'public'}.{table}"

    @property
    def topic(self) -> str:
        return f"{self.source}.{self.qualified}"


@dataclass(frozen=True, order=True)
class SearchIndex:
    """An index of documents, by the name that readers use, and the topics of the tables that its documents show."""

    source: str
    name: str
    topics: tuple[str, ...] = ()

    @property
    def key(self) -> list[str]:
        return ["indexes", self.name]


@cache
def logs() -> tuple[str, ...]:
    """Every log of a table's versions that dbt declares, as `raw_<source>.<table>__history`."""
    sources = json.loads(ensure_manifest().read_bytes())["sources"].values()
    return tuple(sorted(f"{each['source_name']}.{each['name']}" for each in sources if each["name"].endswith(LOG)))


@cache
def captured_tables() -> tuple[CapturedTable, ...]:
    """Every copied table that dbt declares, in order of source and name."""
    sources = json.loads(ensure_manifest().read_bytes())["sources"].values()
    return tuple(
        sorted(
            CapturedTable(source["source_name"].removeprefix(PREFIX), source["name"], source["description"])
            for source in sources
            if source["source_name"] not in NO_COPIES and not source["name"].endswith(LOG)
        )
    )


@cache
def search_indexes() -> tuple[SearchIndex, ...]:
    """Every index that a source file declares."""
    found = []
    for path in sorted(SOURCE_FILES.glob("*.yaml")):
        file = yaml.safe_load(path.read_text())
        for tree in file.get("documents") or ():
            topics = {
                f"{file['source']}.{node.get('schema', 'public')}.{node['table']}" for node in _nodes(tree["nodes"])
            }
            found.append(SearchIndex(file["source"], tree["index"], tuple(sorted(topics))))
    return tuple(sorted(found))


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for child in node.get("children") or ():
        yield from _nodes(child)
