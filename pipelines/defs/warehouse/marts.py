"""The dbt project as assets: every model, every dbt test as a check, built by ONE dbt call however many are chosen.

Starting dbt costs more than most models, and dbt orders models and tests itself. Unit tests of models are left out:
they need no data and run with the test suite.
"""

import os
import shutil
import time
from collections.abc import Iterator
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DbtCliResource, DbtProject, dbt_assets
from packaging.version import Version
from pydantic import Field

from pipelines.lib.exclusive import exclusive
from pipelines.lib.manifest import DBT, PROJECT, ensure_manifest
from pipelines.lib.translator import Translator

PROJECT_OF_DBT = DbtProject(project_dir=PROJECT, profiles_dir=PROJECT)


class Dbt(DbtCliResource):
    """dbt's command line, its version read from the installed package: `dbt --version` asks PyPI for a newer one."""

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))


class Build(dg.Config):
    """How to build."""

    full_refresh: bool = Field(default=False, description="rebuild incremental marts from nothing")


def build_arguments(config: Build) -> list[str]:
    """Arguments of the one dbt call."""
    return ["build", "--exclude-resource-type", "unit_test", *(["--full-refresh"] if config.full_refresh else [])]


@dbt_assets(manifest=ensure_manifest(), project=PROJECT_OF_DBT, dagster_dbt_translator=Translator(), name="marts")
def marts(context: dg.AssetExecutionContext, dbt: DbtCliResource, config: Build) -> Iterator[Any]:
    """Staging views, marts and their tests."""
    remove_old_artifacts(PROJECT / "target", older_than_seconds=86_400)
    with exclusive(PROJECT / "target", warehouse_name(), lambda: context.log.info("waiting for another build to end")):
        invocation = dbt.cli(build_arguments(config), context=context)
        yield from invocation.stream()
    shutil.rmtree(invocation.target_path)


def warehouse_name() -> str:
    """What a build writes into: two builds of one name exclude each other."""
    return f"{os.environ.get('CLICKHOUSE_URL')}/{os.environ.get('MILLRACE_ANALYTICS_DATABASE', 'analytics')}"


def remove_old_artifacts(target: Path, older_than_seconds: float) -> None:
    """Forget what failed runs left in dbt's target folder; a run that succeeded leaves nothing."""
    for folder in target.glob("marts-*"):
        if time.time() - folder.stat().st_mtime > older_than_seconds:
            shutil.rmtree(folder)


DBT_RESOURCE = Dbt(project_dir=str(PROJECT), profiles_dir=str(PROJECT), dbt_executable=str(DBT))
