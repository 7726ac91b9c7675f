"""What one file of dashboards/assets may say: a connection, a dataset, a chart or a dashboard, in Superset's own format.

A file says what Superset needs and nothing else; a name that is not here is refused, for a formula could hide behind it. No
rule about several files is here: those are in dashboards/faults.py.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator


def _is_uuid(value: object) -> bool:
    try:
        return bool(UUID(str(value)))
    except ValueError:
        return False


class Asset(BaseModel):
    """What every file says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path = Field(exclude=True)
    """Below dashboards/assets."""
    uuid: UUID
    version: Literal["1.0.0"]

    @property
    def place(self) -> str:
        """The file as a person looks for it."""
        return f"dashboards/assets/{self.path}"

    @property
    def name(self) -> str:
        """Its name as a part of other names."""
        return self.path.stem


class Connection(Asset):
    """A way into the warehouse, as one of its users."""

    database_name: str
    sqlalchemy_uri: str
    expose_in_sqllab: bool
    allow_ctas: Literal[False]
    allow_cvas: Literal[False]
    allow_dml: Literal[False]
    allow_run_async: Literal[False]
    allow_file_upload: Literal[False]
    extra: dict[str, Any]


class Column(BaseModel):
    """A column of a mart."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    column_name: str
    verbose_name: str
    type: str
    is_dttm: bool
    description: str


class SavedMetric(BaseModel):
    """A metric that charts ask for by its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric_name: str
    verbose_name: str
    expression: str
    description: str
    d3format: str


class Dataset(Asset):
    """A mart with its columns and metrics; written by `millrace dashboards write`."""

    table_name: str
    schema_: Literal["analytics"] = Field(alias="schema")
    database_uuid: UUID
    description: str
    main_dttm_col: str | None
    filter_select_enabled: bool
    columns: tuple[Column, ...]
    metrics: tuple[SavedMetric, ...]

    @property
    def types(self) -> dict[str, str]:
        """Column -> type."""
        return {column.column_name: column.type for column in self.columns}


class Chart(Asset):
    """A tile: what it asks of one dataset and how it draws that."""

    slice_name: str
    description: str
    viz_type: str
    dataset_uuid: UUID
    params: dict[str, Any]

    @field_validator("params")
    @classmethod
    def _readable(cls, params: dict[str, Any]) -> dict[str, Any]:
        for one in params.get("adhoc_filters") or ():
            if not isinstance(one, dict) or (one.get("expressionType") == "SIMPLE" and not one.get("subject")):
                raise ValueError("a filter in adhoc_filters names no column")
        for order in params.get("order_by_cols") or ():
            if not re.fullmatch(r'\["[^"]+", (true|false)\]', str(order)):
                raise ValueError(f'order_by_cols holds {order}; write ["column", true]')
        return params


class Dashboard(Asset):
    """A page of charts that answers one question."""

    dashboard_title: str
    description: str
    """The question that it answers."""
    slug: str
    certified_by: str
    """Who answers for it: an owner of dbt/models/_groups.yml."""
    published: Literal[True]
    position: dict[str, Any]
    metadata: dict[str, Any]

    @field_validator("position")
    @classmethod
    def _placed(cls, position: dict[str, Any]) -> dict[str, Any]:
        for name, child in position.items():
            if isinstance(child, dict) and child.get("type") == "CHART":
                meta = child.get("meta")
                if not isinstance(meta, dict) or not _is_uuid(meta.get("uuid")) or "chartId" not in meta:
                    raise ValueError(f"{name} is no tile with the uuid of a chart and a chartId")
        return position

    @field_validator("metadata")
    @classmethod
    def _filtered(cls, metadata: dict[str, Any]) -> dict[str, Any]:
        for one in metadata.get("native_filter_configuration") or ():
            if any("datasetUuid" in target and not _is_uuid(target["datasetUuid"]) for target in one["targets"]):
                raise ValueError(f"the filter {one.get('name')} asks no dataset with a uuid")
        return metadata

    @property
    def charts(self) -> Iterator[UUID]:
        """The uuids of its tiles, in the order of the file."""
        for child in self.position.values():
            if isinstance(child, dict) and child.get("type") == "CHART":
                yield UUID(child["meta"]["uuid"])
