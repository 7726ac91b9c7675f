"""Asset checks `fresh`: no topic, copy, index or mart is further behind than the policies allow.

What the engine says of the topics, copies and indexes is recorded as an observation with the verdict. A hop that could not
be asked raises; a hop that is not followed at all is late, whatever its age.
"""

from collections.abc import Iterator

import dagster as dg

from pipelines.defs.freshness.marts import behind
from pipelines.lib import engine
from pipelines.lib.attribution import comment_of
from pipelines.lib.captured import captured_tables, search_indexes
from pipelines.lib.clickhouse import ClickHouse
from pipelines.lib.engine import Behind
from pipelines.lib.failures import typed_failures
from pipelines.lib.feeding import fed_marts
from pipelines.lib.policies import late_after, refuse_unknown

CHECK = "fresh"


def followed_keys() -> list[dg.AssetKey]:
    """Every asset whose age can be told."""
    tables, indexes = captured_tables(), search_indexes()
    return [
        *(dg.AssetKey(["topics", table.topic]) for table in tables),
        *(dg.AssetKey(table.key) for table in tables),
        *(dg.AssetKey(index.key) for index in indexes),
        *(fed.key for fed in fed_marts()),
    ]


def limits() -> dict[dg.AssetKey, float]:
    """The assets that have a policy, with theirs. Raises UnknownAssetError for a policy of none."""
    keys = followed_keys()
    refuse_unknown(keys)
    return {key: limit for key in keys if (limit := late_after(key)) is not None}


def of_the_engine(facts: engine.Facts) -> dict[dg.AssetKey, Behind]:
    """What the engine says, by asset. What it does not follow yet is told as such."""
    unknown = Behind(float("inf"), 0, "the engine does not follow it: `millrace cdc plan`")
    return {
        **{dg.AssetKey(["topics", each.topic]): facts.topics.get(each.topic, unknown) for each in captured_tables()},
        **{dg.AssetKey(each.key): facts.copies.get(each.topic, unknown) for each in captured_tables()},
        **{dg.AssetKey(each.key): facts.indexes.get(each.source, unknown) for each in search_indexes()},
    }


def verdict(key: dg.AssetKey, found: Behind, limit: float) -> dg.AssetCheckResult:
    """Late when further behind than the limit (seconds), or not followed."""
    late = found.stopped or (f"{found.seconds:.0f} s behind, at most {limit:g} s" if found.seconds > limit else None)
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=CHECK,
        passed=late is None,
        description=late,
        metadata=facts_of(found) | {"late_after_s": limit},
    )


def facts_of(found: Behind) -> dict[str, float | int | str]:
    """What an observation shows."""
    shown: dict[str, float | int | str] = {"records_waiting": found.records}
    if found.seconds != float("inf"):
        shown["behind_s"] = round(found.seconds, 1)
    if found.stopped:
        shown["stopped"] = found.stopped
    return shown


@dg.multi_asset_check(
    name="judge_freshness",
    specs=[
        dg.AssetCheckSpec(CHECK, asset=key, description=f"At most {limit:g} s behind.")
        for key, limit in limits().items()
    ],
    can_subset=True,
)
def judge_freshness(context: dg.AssetCheckExecutionContext, clickhouse: ClickHouse) -> Iterator[dg.AssetCheckResult]:
    """Asks the engine once and ClickHouse for the marts; records what the engine said."""
    chosen = {check.asset_key for check in context.selected_asset_check_keys}
    execution = context.op_execution_context
    with typed_failures(execution):
        marts = [fed for fed in fed_marts() if fed.key in chosen]
        ages = behind(marts, clickhouse, comment_of(execution)) if marts else {}
        found = {fed.key: ages[fed.mart] for fed in marts}
        if chosen - set(found):
            told = of_the_engine(engine.facts())
            for key in sorted(chosen & set(told)):
                execution.log_event(dg.AssetObservation(key, metadata=facts_of(told[key])))
            found |= told
        for key, limit in limits().items():
            if key in chosen:
                yield verdict(key, found[key], limit)


FRESHNESS = dg.define_asset_job(
    "freshness",
    selection=dg.AssetSelection.checks(*judge_freshness.check_keys),
    description="Records how far every hop is behind, and says which is late.",
)
