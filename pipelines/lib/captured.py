"""Which raw tables there are, read from the dbt sources: no database is asked, so the location loads without one."""

import json
from dataclasses import dataclass
from functools import cache

from pipelines.lib.manifest import ensure_manifest

PREFIX = "raw_"
ENGINE = "raw_millrace"  # what the sink says about itself is no copy of anything


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


@cache
def captured_tables() -> tuple[CapturedTable, ...]:
    """Every raw table that dbt declares, in order of source and name."""
    sources = json.loads(ensure_manifest().read_bytes())["sources"].values()
    return tuple(
        sorted(
            CapturedTable(source["source_name"].removeprefix(PREFIX), source["name"], source["description"])
            for source in sources
            if source["source_name"] != ENGINE
        )
    )
