"""The dbt project as assets: every model, every dbt test as a check, built by ONE dbt call however many are chosen.

Starting dbt costs more than most models, and dbt orders models and tests itself: what hangs on a model whose test failed
is not built, and keeps the data that it had. Unit tests of models are left out: they need no data and run with the test
suite.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, dbt_assets
from pydantic import Field

from pipelines.lib.dbt import PROJECT_OF_DBT, build
from pipelines.lib.manifest import ensure_manifest
from pipelines.lib.pools import WAREHOUSE
from pipelines.lib.translator import Translator

DAILY = "tag:daily"
"""Models that are built by days, in runs of their own (`daily`)."""


class Build(dg.Config):
    """How to build."""

    full_refresh: bool = Field(default=False, description="rebuild incremental marts from nothing")


def build_arguments(config: Build) -> list[str]:
    """Arguments of the one dbt call."""
    return ["build", "--exclude-resource-type", "unit_test", *(["--full-refresh"] if config.full_refresh else [])]


@dbt_assets(
    manifest=ensure_manifest(),
    project=PROJECT_OF_DBT,
    dagster_dbt_translator=Translator(),
    exclude=DAILY,
    name="marts",
    pool=WAREHOUSE,
)
def marts(context: dg.AssetExecutionContext, dbt: DbtCliResource, config: Build) -> Iterator[Any]:
    """Staging views, marts and their tests."""
    yield from build(context, dbt, build_arguments(config))
