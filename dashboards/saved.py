"""Charts and dashboards as files have them, made of what Superset exports: without its ids, its caches and its defaults.

The same content is always the same text, so that what changed is all that a comparison of two versions shows.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dashboards.files import ASSETS, Assets
from dashboards.yamls import dumped

_OF_A_SESSION = {
    "datasource",
    "slice_id",
    "url_params",
    "dashboardId",
    "dashboards",
    "extra_form_data",
    "annotation_layers",
}
"""What Superset keeps with a chart's parameters and knows anyway."""
_CHART = ("slice_name", "description", "viz_type", "params", "uuid", "version", "dataset_uuid")
_DASHBOARD = (
    "dashboard_title",
    "description",
    "slug",
    "certified_by",
    "published",
    "position",
    "metadata",
    "uuid",
    "version",
)
_METADATA = (
    "color_scheme",
    "cross_filters_enabled",
    "label_colors",
    "native_filter_configuration",
    "refresh_frequency",
)
_OF_A_PAGE = {"chartsInScope", "tabsInScope"}
"""What a filter has worked out for itself."""


def chart(given: Mapping[str, Any]) -> str:
    """The text of a chart's file. A layer of annotations that holds anything stays, to be seen and refused."""
    params = {
        key: value
        for key, value in sorted(given["params"].items())
        if value not in (None, "", [], {}) and (key not in _OF_A_SESSION or (key == "annotation_layers" and value))
    }
    return dumped({**_kept(given, _CHART), "params": _ordered(params)})


def dashboard(given: Mapping[str, Any]) -> str:
    """The text of a dashboard's file; its charts are numbered from 1, as each Superset gives them numbers of its own."""
    position = {name: given["position"][name] for name in sorted(given["position"])}
    numbers: dict[int, int] = {}
    for child in position.values():
        if isinstance(child, dict) and child["type"] == "CHART":
            numbers[child["meta"]["chartId"]] = len(numbers) + 1
            meta = child["meta"] | {"chartId": len(numbers)}
            child["meta"] = {name: meta[name] for name in ("chartId", "height", "width", "sliceName", "uuid")}
    metadata = {name: given["metadata"][name] for name in _METADATA if given["metadata"].get(name) not in (None, {})}
    metadata["native_filter_configuration"] = [
        _filter(one, numbers) for one in metadata.get("native_filter_configuration", ())
    ]
    return dumped({**_kept(given, _DASHBOARD), "position": _ordered(position), "metadata": _ordered(metadata)})


def _filter(given: Mapping[str, Any], numbers: Mapping[int, int]) -> dict[str, Any]:
    kept = {name: value for name, value in sorted(given.items()) if name not in _OF_A_PAGE}
    excluded = [numbers[number] for number in given["scope"]["excluded"] if number in numbers]
    return kept | {"scope": given["scope"] | {"excluded": excluded}}


def _ordered(value: Any) -> Any:
    """Names in the order of the alphabet, at every depth."""
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in sorted(value)}
    return [_ordered(one) for one in value] if isinstance(value, list) else value


def _kept(given: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: str(given[name]) if name.endswith("uuid") else given.get(name) for name in names}


def saved(exported: Mapping[str, dict[str, Any]], assets: Assets, folder: Path = ASSETS) -> dict[Path, str]:
    """The files of an export: those that are there by their uuids, new ones by their names."""
    known = {str(asset.uuid): asset.path for asset in assets.every()}
    pages = {name: content for name, content in exported.items() if name.startswith("dashboards/")}
    places = {
        child["meta"]["uuid"]: content["slug"]
        for content in pages.values()
        for child in content["position"].values()
        if isinstance(child, dict) and child["type"] == "CHART"
    }
    made: dict[Path, str] = {}
    for name, content in exported.items():
        uuid = str(content["uuid"])
        if name in pages:
            made[folder / known.get(uuid, Path("dashboards", f"{content['slug']}.yaml"))] = dashboard(content)
        else:
            stem = re.sub(r"[^a-z0-9]+", "-", content["slice_name"].lower()).strip("-")
            made[folder / known.get(uuid, Path("charts", places[uuid], f"{stem}.yaml"))] = chart(content)
    return made
