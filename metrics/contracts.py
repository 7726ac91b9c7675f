"""Columns and types of every mart, as the dbt manifest promises them."""

import json

from pipelines.lib.manifest import ensure_manifest

Contracts = dict[str, dict[str, str]]
"""mart -> column -> ClickHouse type"""


def contracts() -> Contracts:
    """The contracts of the project as it is now. Raises ManifestError where dbt cannot read it."""
    nodes = json.loads(ensure_manifest().read_bytes())["nodes"].values()
    return {
        node["name"]: {column["name"]: column["data_type"] for column in node["columns"].values()}
        for node in nodes
        if node["resource_type"] == "model" and node["fqn"][1] == "marts"
    }
