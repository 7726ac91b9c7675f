"""How dbt names become asset names.

Raw tables are keyed [raw_<source>, table], models [layer, name] with the layer that is also their database, so that
the graph reads like the warehouse: topics > raw_orders > staging > intermediate > analytics.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings

DATABASE_OF_LAYER = {"staging": "staging", "intermediate": "intermediate", "marts": "analytics"}


def asset_key(resource: Mapping[str, Any]) -> list[str]:
    """Key of a source or model of the manifest; the folder below `models/` is its layer."""
    if resource["resource_type"] == "source":
        return [resource["source_name"], resource["name"]]
    return [DATABASE_OF_LAYER[resource["fqn"][1]], resource["name"]]


def group_name(resource: Mapping[str, Any]) -> str:
    """Marts are grouped by their domain, everything else by its layer."""
    layer = resource["fqn"][1]
    return str(resource["fqn"][2] if layer == "marts" else layer)


class Translator(DagsterDbtTranslator):
    """Names assets by `asset_key`; dbt tests are asset checks."""

    def __init__(self) -> None:
        super().__init__(settings=DagsterDbtTranslatorSettings(enable_asset_checks=True))

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        return dg.AssetKey(asset_key(dbt_resource_props))

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        if dbt_resource_props["resource_type"] == "source":
            return None
        return group_name(dbt_resource_props)
