"""Calling dbt from a run: one build at a time, attributed to the run, its failure typed.

It adds nothing to what dbt does: models, tests and their order are dbt's.
"""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtCliRuntimeError, DbtCliInvocation, DbtCliResource, DbtProject
from packaging.version import Version

from pipelines.lib.attribution import INVOCATION_TAG, attributed
from pipelines.lib.exclusive import exclusive
from pipelines.lib.failures import of_dbt, typed_failures
from pipelines.lib.manifest import DBT, PROJECT

PROJECT_OF_DBT = DbtProject(project_dir=PROJECT, profiles_dir=PROJECT)


class Dbt(DbtCliResource):
    """dbt's command line, its version read from the installed package: `dbt --version` asks PyPI for a newer one."""

    @cached_property
    def _cli_version(self) -> Version:
        return Version(version("dbt-core"))


RESOURCE = Dbt(project_dir=str(PROJECT), profiles_dir=str(PROJECT), dbt_executable=str(DBT))


def build(context: dg.AssetExecutionContext, dbt: DbtCliResource, arguments: Sequence[str]) -> Iterator[Any]:
    """Events of one dbt call for the assets that were chosen. The run gets dbt's invocation id as a tag."""
    remove_old_artifacts(PROJECT / "target", older_than_seconds=86_400)
    with (
        typed_failures(context.op_execution_context),
        exclusive(PROJECT / "target", warehouse_name(), lambda: context.log.info("waiting for another build to end")),
    ):
        with attributed(context.op_execution_context):
            invocation = dbt.cli(list(arguments), context=context)
        try:
            yield from tagged(context, invocation)
        except DagsterDbtCliRuntimeError as error:
            raise of_dbt(invocation.target_path / "run_results.json", str(error)) from error
        shutil.rmtree(invocation.target_path)


def tagged(context: dg.AssetExecutionContext, invocation: DbtCliInvocation) -> Iterator[Any]:
    """The events of the call; the first that names the invocation gives the run its tag."""
    told = False
    for event in invocation.stream():
        if not told and (metadata := getattr(event, "metadata", None)) and "invocation_id" in metadata:
            context.instance.add_run_tags(context.run.run_id, {INVOCATION_TAG: str(metadata["invocation_id"].value)})
            told = True
        yield event


def warehouse_name() -> str:
    """What a build writes into: two builds of one name exclude each other."""
    return f"{os.environ.get('CLICKHOUSE_URL')}/{os.environ.get('MILLRACE_ANALYTICS_DATABASE', 'analytics')}"


def remove_old_artifacts(target: Path, older_than_seconds: float) -> None:
    """Forget what failed runs left in dbt's target folder; a run that succeeded leaves nothing."""
    for folder in (*target.glob("marts-*"), *target.glob("daily-*")):
        if time.time() - folder.stat().st_mtime > older_than_seconds:
            shutil.rmtree(folder)
