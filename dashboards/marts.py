"""The marts as the dbt manifest promises them, with what it says of each column."""

import json
from dataclasses import dataclass

from pipelines.lib.manifest import ensure_manifest


@dataclass(frozen=True)
class MartColumn:
    """A column of a contract."""

    name: str
    type: str
    description: str


@dataclass(frozen=True)
class Mart:
    """A mart, its columns in order, and the group of models that it belongs to."""

    name: str
    description: str
    group: str
    columns: tuple[MartColumn, ...]

    @property
    def types(self) -> dict[str, str]:
        """Column -> type."""
        return {column.name: column.type for column in self.columns}


def marts() -> dict[str, Mart]:
    """Every mart of the project as it is now. Raises ManifestError where dbt cannot read it."""
    nodes = json.loads(ensure_manifest().read_bytes())["nodes"].values()
    return {
        node["name"]: Mart(
            node["name"],
            node["description"],
            node["group"],
            tuple(
                MartColumn(column["name"], column["data_type"], column["description"])
                for column in node["columns"].values()
            ),
        )
        for node in nodes
        if node["resource_type"] == "model" and node["fqn"][1] == "marts"
    }
