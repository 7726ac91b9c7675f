"""Which raw tables a mart is made of, through however many models, read from dbt's manifest."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import dagster as dg

from pipelines.lib.manifest import ensure_manifest
from pipelines.lib.translator import asset_key

NO_ROWS_OF_THE_SHOP = frozenset({"raw_millrace", "clickhouse"})
BUILT_AT = "_loaded_at"
ARRIVED_AT = {"raw_clickstream": "received_at"}
"""When a row came into a raw table, where it is not `_ingested_at`."""


@dataclass(frozen=True)
class Fed:
    """A mart that says when it was built, and the raw tables (source, table) it is made of."""

    mart: str
    incremental: bool
    raw: tuple[tuple[str, str], ...]

    @property
    def key(self) -> dg.AssetKey:
        return dg.AssetKey(["analytics", self.mart])


@cache
def fed_marts() -> tuple[Fed, ...]:
    """Every mart whose age can be told: it says when it was built, and is made of raw tables."""
    manifest: Mapping[str, Any] = json.loads(ensure_manifest().read_bytes())
    found = []
    for node in manifest["nodes"].values():
        if node["resource_type"] != "model" or asset_key(node)[0] != "analytics" or BUILT_AT not in node["columns"]:
            continue
        sources = (manifest["sources"][name] for name in _sources(manifest["parent_map"], node["unique_id"], set()))
        raw = {
            (each["source_name"], each["name"]) for each in sources if each["source_name"] not in NO_ROWS_OF_THE_SHOP
        }
        if raw:
            incremental = node["config"]["materialized"] == "incremental"
            found.append(Fed(node["name"], incremental, tuple(sorted(raw))))
    return tuple(sorted(found, key=lambda fed: fed.mart))


def _sources(parents: Mapping[str, list[str]], name: str, seen: set[str]) -> set[str]:
    found = set()
    for parent in set(parents.get(name, ())) - seen:
        seen.add(parent)
        found |= {parent} if parent.startswith("source.") else _sources(parents, parent, seen)
    return found
