"""Search indexes as assets: their documents are proven against ones read from nothing, and built anew on demand."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from pipelines.lib.captured import SearchIndex, search_indexes
from pipelines.lib.commands import millrace
from pipelines.lib.delivery import routes
from pipelines.lib.failures import typed_failures
from pipelines.lib.pools import ENGINE

if TYPE_CHECKING:
    from cdc.verify import DocumentProof

CHECK = "equals_source"
KEYS_SHOWN = 20


class NotProvenError(RuntimeError):
    """The engine gave no proof for an index that was asked for."""


def index_spec(index: SearchIndex) -> dg.AssetSpec:
    return dg.AssetSpec(
        index.key,
        deps=[["topics", topic] for topic in index.topics],
        group_name="search",
        kinds={"elasticsearch"},
        owners=[routes().otherwise],
        description=f"Documents of {index.source}, written by the engine; read by the shop's search.",
    )


def results_of(indexes: Iterable[SearchIndex], proofs: Iterable["DocumentProof"]) -> Iterator[dg.AssetCheckResult]:
    """A result per index; raises NotProvenError if one has no proof."""
    by_index = {proof.index: proof for proof in proofs}
    for index in indexes:
        proof = by_index.get(index.name)
        if proof is None:
            raise NotProvenError(f"no proof for index {index.name}: is its source applied? see `millrace cdc plan`")
        yield dg.AssetCheckResult(
            asset_key=dg.AssetKey(index.key),
            check_name=CHECK,
            passed=proof.equal,
            metadata={
                "documents": proof.rows,
                "differing": proof.differing,
                "differing_keys": dg.MetadataValue.json(list(proof.keys[:KEYS_SHOWN])),
                "parked": proof.parked,
            },
        )


@dg.multi_asset_check(
    name="prove_indexes",
    specs=[
        dg.AssetCheckSpec(
            CHECK, asset=dg.AssetKey(index.key), description="Every document is the one that the source gives now."
        )
        for index in search_indexes()
    ],
    pool=ENGINE,
)
def prove_indexes(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Compares every document with one read from nothing, while writes go on."""
    from cdc.verify import verify_documents  # not before a run: loading the location opens no driver

    with typed_failures(context.op_execution_context):
        yield from results_of(search_indexes(), verify_documents())


class Reindex(dg.Config):
    """Which index to build anew."""

    index: str = Field(default=search_indexes()[0].name, description="by the name that readers use")
    finish: bool = Field(
        default=False, description="remove the index that readers had before; until then there is a way back to it"
    )


@dg.op(pool=ENGINE)
def build_index_anew(context: dg.OpExecutionContext, config: Reindex) -> None:
    """Built beside the one in use, proven, then given to readers in one step; a failure leaves readers what they have."""
    with typed_failures(context):
        told = millrace(context, "search", "reindex", config.index)
        if config.finish:
            told += millrace(context, "search", "reindex", config.index, "--finish")
        key = next(dg.AssetKey(index.key) for index in search_indexes() if index.name == config.index)
        context.log_event(dg.AssetMaterialization(key, metadata={"told": told.strip()}))


@dg.job(description="Builds a search index anew beside the one in use.", executor_def=dg.in_process_executor)
def search_reindex() -> None:
    build_index_anew()


INDEXES = [index_spec(index) for index in search_indexes()]
