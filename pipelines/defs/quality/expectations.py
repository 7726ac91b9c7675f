"""Great Expectations as asset checks: one per mart that has a suite, all of a run in one step.

Not part of `everything`: dbt's tests say in a second whether a build may be used; these look at volumes and
distributions, cost ten seconds to load, and have a job and a schedule of their own.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from pipelines.lib.clickhouse import ClickHouse
from pipelines.lib.expectations import address, suites, validate
from pipelines.lib.failures import typed_failures

CHECK = "meets_expectations"
LAYER = "analytics"


@dg.multi_asset_check(
    name="great_expectations",
    specs=[
        dg.AssetCheckSpec(
            CHECK,
            asset=dg.AssetKey([LAYER, mart]),
            description="The suite of pipelines/defs/quality/suites.yaml holds.",
        )
        for mart in suites()
    ],
    can_subset=True,
)
def great_expectations(context: dg.AssetCheckExecutionContext, clickhouse: ClickHouse) -> Iterator[dg.AssetCheckResult]:
    """Runs the suites of the chosen marts in ClickHouse and publishes the Data Docs."""
    chosen = {check.asset_key.path[-1] for check in context.selected_asset_check_keys}
    database = os.environ.get("MILLRACE_ANALYTICS_DATABASE", LAYER)
    where = address(clickhouse.url, clickhouse.user, clickhouse.password, database)
    folder = Path(context.op_execution_context.instance.root_directory) / "expectations"
    with typed_failures(context.op_execution_context):
        verdicts, page = validate(where, {mart: told for mart, told in suites().items() if mart in chosen}, folder)
    for verdict in verdicts:
        yield dg.AssetCheckResult(
            asset_key=dg.AssetKey([LAYER, verdict.mart]),
            check_name=CHECK,
            passed=not verdict.unmet,
            metadata={
                "expectations": verdict.expectations,
                "unmet": dg.MetadataValue.json(verdict.unmet),
                "data_docs": dg.MetadataValue.path(str(page)),
            },
        )


EXPECTATIONS = dg.define_asset_job(
    "expectations",
    selection=dg.AssetSelection.checks(*great_expectations.check_keys),
    description="Looks at the marts' volumes and distributions with Great Expectations.",
)
