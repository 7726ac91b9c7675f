"""Raw tables as assets: the CDC engine writes them, this location only looks.

An observation says how far a copy is behind: the age of its newest change, and how long changes took from the commit
in PostgreSQL to the insert in ClickHouse. An idle source grows old without being late, so neither is a verdict; the
verdict is the reconciliation check.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from pipelines.lib.attribution import comment_of
from pipelines.lib.captured import LOG, CapturedTable, captured_tables, logs
from pipelines.lib.clickhouse import ClickHouse, raw_prefix
from pipelines.lib.delivery import routes
from pipelines.lib.failures import typed_failures

RECENT_HOURS = 1
OWNER = routes().otherwise

LAG = """
SELECT
    '{name}' AS raw,
    count() AS versions,
    max(_batch) AS last_batch,
    max(_committed_at) AS newest_commit,
    dateDiff('millisecond', max(_committed_at), now64(6, 'UTC')) / 1000 AS newest_commit_age_s,
    countIf(_ingested_at > now64(6, 'UTC') - INTERVAL {{hours:UInt32}} HOUR) AS recent,
    quantilesExactIf(0.5, 0.99)(
        dateDiff('millisecond', _committed_at, _ingested_at),
        _ingested_at > now64(6, 'UTC') - INTERVAL {{hours:UInt32}} HOUR
    ) AS ingest_ms
FROM {database}.{table}
"""


def topic_spec(table: CapturedTable) -> dg.AssetSpec:
    return dg.AssetSpec(
        ["topics", table.topic],
        group_name="topics",
        kinds={"kafka"},
        owners=[OWNER],
        description="Changes of the table, in commit order per key.",
    )


def raw_spec(table: CapturedTable) -> dg.AssetSpec:
    return dg.AssetSpec(
        table.key,
        deps=[["topics", table.topic]],
        group_name="raw",
        kinds={"clickhouse"},
        owners=[OWNER],
        description=table.description,
    )


def log_spec(name: str) -> dg.AssetSpec:
    """The log of a table's versions, ``raw_<source>.<table>__history``."""
    raw = name.removesuffix(LOG).split(".")
    topics = [["topics", table.topic] for table in captured_tables() if table.key == raw]
    return dg.AssetSpec(
        name.split("."),
        deps=topics,
        group_name="raw",
        kinds={"clickhouse"},
        owners=[OWNER],
        description="Every version of a row that was written into the copy.",
    )


def lag_query(tables: Sequence[CapturedTable]) -> str:
    """One query for the lag of all tables; names come from the manifest, never from users."""
    return " UNION ALL ".join(
        LAG.format(name="/".join(table.key), database=f"{raw_prefix()}{table.source}", table=table.name)
        for table in tables
    )


def lag_metadata(row: Mapping[str, Any]) -> dict[str, int | float | str]:
    """What an observation shows. A table without rows has no age, one without recent rows no ingest lag."""
    metadata: dict[str, int | float | str] = {
        "versions": int(row["versions"]),
        "last_batch": int(row["last_batch"]),
        "recent_changes": int(row["recent"]),
    }
    if row["versions"]:
        metadata["newest_commit"] = row["newest_commit"].isoformat()
        metadata["newest_commit_age_s"] = float(row["newest_commit_age_s"])
    if row["recent"]:
        p50, p99 = row["ingest_ms"]
        metadata["ingest_lag_p50_ms"] = float(p50)
        metadata["ingest_lag_p99_ms"] = float(p99)
    return metadata


def observe(tables: Sequence[CapturedTable], clickhouse: ClickHouse, comment: str) -> Iterator[dg.AssetObservation]:
    """How far behind each of the tables is."""
    keys = {"/".join(table.key): dg.AssetKey(table.key) for table in tables}
    for row in clickhouse.rows(lag_query(tables), {"hours": RECENT_HOURS}, comment):
        yield dg.AssetObservation(keys[row["raw"]], metadata=lag_metadata(row))


@dg.op
def observe_raw_tables(context: dg.OpExecutionContext, clickhouse: ClickHouse) -> None:
    """Records the lag of every raw table."""
    with typed_failures(context):
        for observation in observe(captured_tables(), clickhouse, comment_of(context)):
            context.log_event(observation)


@dg.job(description="Records how far the raw tables are behind.", executor_def=dg.in_process_executor)
def observe_lag() -> None:
    observe_raw_tables()


TABLES = [
    *(spec(table) for table in captured_tables() for spec in (topic_spec, raw_spec)),
    *(log_spec(name) for name in logs()),
]
