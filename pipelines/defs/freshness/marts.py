"""How far each mart is behind the raw tables: the age of the oldest change that it was not built from.

The time of the last run says nothing: a run that built another partition would look fresh. A mart says itself when the run
began that wrote it; an incremental one that had nothing to write says so by its window.
"""

import os
from collections.abc import Iterable, Mapping, Sequence

from pipelines.lib.clickhouse import ClickHouse, raw_prefix
from pipelines.lib.engine import Behind
from pipelines.lib.feeding import ARRIVED_AT, BUILT_AT, Fed

NEVER = "1970-01-01 00:00:00.000000"
"""Moments are UTC as ClickHouse writes them, so that they sort as texts."""

TABLES = """
SELECT database, name, toString(toDateTime64(metadata_modification_time, 6, 'UTC')) AS made
FROM system.tables WHERE database = {database:String} OR startsWith(database, {prefix:String})
"""


def behind(asked: Sequence[Fed], clickhouse: ClickHouse, comment: str) -> dict[str, Behind]:
    """What each mart is behind; a mart that was never built is as old as the oldest row it lacks."""
    database = os.environ.get("MILLRACE_ANALYTICS_DATABASE", "analytics")
    tables = {
        (row["database"], row["name"]): row["made"]
        for row in clickhouse.rows(TABLES, {"database": database, "prefix": raw_prefix()}, comment)
    }
    there = {name: made for (where, name), made in tables.items() if where == database}
    marts = [fed for fed in asked if all(where_of(raw) in tables for raw in fed.raw)]  # no row, so nothing waits
    if not marts:
        return dict.fromkeys((fed.mart for fed in asked), Behind(0.0))
    built = {row["mart"]: row["built"] for row in clickhouse.rows(built_query(marts, database, there), {}, comment)}
    moments = {fed.mart: max(built.get(fed.mart, NEVER), NEVER) for fed in marts}
    for fed in marts:  # a table without a row was made by a build that found none
        if moments[fed.mart] == NEVER and not fed.incremental:
            moments[fed.mart] = there.get(fed.mart, NEVER)
    waiting = {
        (row["raw"], row["built"]): row
        for row in clickhouse.rows(waiting_query(marts, moments), {}, comment)
        if row["changes"]
    }
    found = {fed.mart: Behind(0.0) for fed in asked}
    for fed in marts:
        rows = [waiting[key] for raw in fed.raw if (key := (".".join(raw), moments[fed.mart])) in waiting]
        oldest = max((float(row["seconds"]) for row in rows), default=0.0)
        found[fed.mart] = Behind(oldest, sum(int(row["changes"]) for row in rows))
    return found


def built_query(marts: Iterable[Fed], database: str, there: Mapping[str, str]) -> str:
    """When the run began that wrote each of the marts that are there."""
    parts = ["SELECT '' AS mart, toDateTime64(0, 6, 'UTC') AS built"]
    for fed in marts:
        if fed.mart in there:
            parts.append(f"SELECT '{fed.mart}', max({BUILT_AT}) FROM {database}.{fed.mart}")
        if fed.incremental and {"mart_windows", "mart_watermarks"} <= set(there):
            parts.append(
                f"SELECT '{fed.mart}', max(opened_at) FROM {database}.mart_windows WHERE mart = '{fed.mart}' AND batch_below <= "
                f"(SELECT argMax(batch, at) FROM {database}.mart_watermarks WHERE mart = '{fed.mart}')"
            )
    return f"SELECT mart, toString(max(built)) AS built FROM ({' UNION ALL '.join(parts)}) GROUP BY mart"


def waiting_query(marts: Iterable[Fed], moments: Mapping[str, str]) -> str:
    """For each raw table and each moment at which a mart was built from it: changes since, and the age of the oldest."""
    wanted = sorted({(source, table, moments[fed.mart]) for fed in marts for source, table in fed.raw})
    return " UNION ALL ".join(
        f"SELECT '{source}.{table}' AS raw, '{built}' AS built, "
        f"count() AS changes, dateDiff('millisecond', min(came), now64(6, 'UTC')) / 1000 AS seconds "
        f"FROM (SELECT {ARRIVED_AT.get(source, '_ingested_at')} AS came "
        f"FROM {'.'.join(where_of((source, table)))}) WHERE came > toDateTime64('{built}', 6, 'UTC')"
        for source, table, built in wanted
    )


def where_of(raw: tuple[str, str]) -> tuple[str, str]:
    """Database and name of a raw table; tests have a prefix of their own."""
    source, table = raw
    return f"{raw_prefix()}{source.removeprefix('raw_')}", table
