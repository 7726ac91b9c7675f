"""PostgreSQL = ClickHouse, one check per captured table, by `cdc.verify`.

A check that could not run raises: it says neither equal nor different. Parked rows are a difference, because the copy
lacks what the source has. How far behind the tables were is recorded with their proof.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import dagster as dg

from pipelines.defs.cdc.raw_tables import observe
from pipelines.lib.attribution import comment_of
from pipelines.lib.captured import CapturedTable, captured_tables
from pipelines.lib.clickhouse import ClickHouse
from pipelines.lib.failures import typed_failures
from pipelines.lib.pools import ENGINE

if TYPE_CHECKING:
    from cdc.verify import TableProof

CHECK = "equals_postgres"
KEYS_SHOWN = 20


class NotProvenError(RuntimeError):
    """The engine gave no proof for a table that was asked for."""


def result_of(table: CapturedTable, proof: "TableProof") -> dg.AssetCheckResult:
    """The proof as a check's result, naming the first differing keys."""
    return dg.AssetCheckResult(
        asset_key=dg.AssetKey(table.key),
        check_name=CHECK,
        passed=proof.equal,
        metadata={
            "rows_source": proof.rows_source,
            "rows_target": proof.rows_target,
            "differing": proof.differing,
            "differing_keys": dg.MetadataValue.json([str(key) for key in proof.differing_keys[:KEYS_SHOWN]]),
            "parked": proof.parked,
        },
    )


def results_of(tables: Iterable[CapturedTable], proofs: Iterable["TableProof"]) -> Iterator[dg.AssetCheckResult]:
    """A result per table; raises NotProvenError if one has no proof."""
    by_table = {(proof.source, proof.table.removeprefix("public.")): proof for proof in proofs}
    for table in tables:
        proof = by_table.get((table.source, table.qualified.removeprefix("public.")))
        if proof is None:
            raise NotProvenError(f"no proof for {table.topic}: is the table captured? see `millrace cdc plan`")
        yield result_of(table, proof)


@dg.multi_asset_check(
    name="reconcile_raw_tables",
    specs=[
        dg.AssetCheckSpec(
            CHECK, asset=dg.AssetKey(table.key), description="Every row of the source, and no other, is here."
        )
        for table in captured_tables()
    ],
    can_subset=True,
    pool=ENGINE,
)
def reconcile_raw_tables(
    context: dg.AssetCheckExecutionContext, clickhouse: ClickHouse
) -> Iterator[dg.AssetCheckResult]:
    """Compares the chosen tables by checksum while writes go on."""
    from cdc.verify import verify_tables  # not before a run: loading the location opens no driver

    chosen = {check.asset_key for check in context.selected_asset_check_keys}
    tables = [table for table in captured_tables() if dg.AssetKey(table.key) in chosen]
    execution = context.op_execution_context
    with typed_failures(execution):
        for observation in observe(tables, clickhouse, comment_of(execution)):
            execution.log_event(observation)
        sources, names = {table.source for table in tables}, {table.qualified for table in tables}
        yield from results_of(tables, verify_tables(sorted(sources), sorted(names)))
