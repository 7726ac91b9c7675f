"""The SQL of every model as dbt compiles it; no server is asked.

dbt is run once for a given content of the project, under the names that the databases have in a running shop; what it
gave is kept beside the manifest. It runs no model.
"""

import fcntl
import json
import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.lib.manifest import DBT, PROJECT, UNCONTACTED, ManifestError, content_stamp, ensure_manifest

TARGET = PROJECT / "target" / "compiled_models"
_STAMP = TARGET / "content.stamp"
_RENAMED = ("MILLRACE_ANALYTICS_DATABASE", "MILLRACE_RAW_PREFIX")
LOG = "__history"
"""How the log of a table's versions ends: its columns are the table's."""
_DATABASE = {"staging": "staging", "intermediate": "intermediate", "marts": "analytics"}


@dataclass(frozen=True)
class Model:
    """A view or table that dbt makes."""

    name: str
    layer: str
    sql: str
    types: dict[str, str]
    """Of the columns that its contract declares; a mart declares all."""

    @property
    def table(self) -> str:
        return f"{_DATABASE[self.layer]}.{self.name}"


@dataclass(frozen=True)
class Source:
    """A raw table as the dbt sources declare it; `types` are the service's own, empty where no service has the table."""

    database: str
    name: str
    types: dict[str, str]

    @property
    def table(self) -> str:
        return f"{self.database}.{self.name}"


@dataclass(frozen=True)
class Project:
    """What dbt knows, models after those that they read."""

    sources: list[Source]
    models: list[Model]


def project() -> Project:
    """Every source and every compiled model. Raises ManifestError."""
    manifest = json.loads(_compiled().read_bytes())
    sources = [
        Source(
            node["source_name"],
            node["name"],
            {column["name"]: column["data_type"] for column in node["columns"].values() if column.get("data_type")},
        )
        for node in manifest["sources"].values()
    ]
    types = {source.table: source.types for source in sources}
    sources = [
        replace(source, types=types.get(source.table.removesuffix(LOG), {})) if source.name.endswith(LOG) else source
        for source in sources
    ]
    return Project(sources, [_model(node) for node in _in_order(manifest["nodes"])])


def _model(node: dict[str, Any]) -> Model:
    types = {column["name"]: column["data_type"] or "" for column in node["columns"].values()}
    return Model(node["name"], node["fqn"][1], node["compiled_code"], types)


def _in_order(nodes: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    models = {name: node for name, node in nodes.items() if node["resource_type"] == "model"}
    ordered: dict[str, dict[str, Any]] = {}

    def place(name: str) -> None:
        if name in models and name not in ordered:
            for upstream in models[name]["depends_on"]["nodes"]:
                place(upstream)
            ordered[name] = models[name]

    for name in sorted(models):
        place(name)
    return list(ordered.values())


def _compiled() -> Path:
    """Path of a manifest whose models are compiled, compiled now if the project has changed."""
    ensure_manifest()
    TARGET.mkdir(parents=True, exist_ok=True)
    with (TARGET / "compile.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = content_stamp()
        if not (_STAMP.exists() and _STAMP.read_text() == stamp):
            _compile()
            _STAMP.write_text(stamp)
    return TARGET / "manifest.json"


def _compile() -> None:
    command = [str(DBT), "--quiet", "--no-use-colors", "--log-level-file", "none", "compile"]
    command += [
        "--no-introspect",
        "--no-populate-cache",
        "--indirect-selection",
        "empty",
        "--select",
        "resource_type:model",
    ]
    command += ["--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(TARGET)]
    kept = {name: value for name, value in os.environ.items() if name not in _RENAMED}
    ran = subprocess.run(command, env=kept | UNCONTACTED, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise ManifestError(f"dbt cannot compile {PROJECT}; correct what it names:\n{ran.stdout}{ran.stderr}")
