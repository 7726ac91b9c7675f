"""Collects a status from the state, the sources, Connect and Kafka. A source that cannot be asked is shown with the reason."""

import time
from collections.abc import Iterable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from cdc import source_database, waits
from cdc import state as engine_state
from cdc.catalog import Shape
from cdc.connect.client import ConnectClient
from cdc.errors import CdcError
from cdc.kafka import Kafka
from cdc.line import former_primary
from cdc.settings import CdcSettings
from cdc.sinks.positions import CLICKHOUSE_GROUP, DOCUMENTS_GROUP, INVALIDATION_GROUP
from cdc.source_file import SourceFile
from cdc.status.facts import GroupLag, SourceStatus, TableStatus
from cdc.waits import Wait

GROUPS = {"clickhouse": CLICKHOUSE_GROUP, "elasticsearch": DOCUMENTS_GROUP, "cache": INVALIDATION_GROUP}

_SLOT = """
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::int8 AS retained,
       pg_wal_lsn_diff(pg_current_wal_insert_lsn(), confirmed_flush_lsn)::int8 AS unread,
       pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::int8 AS written, wal_status, active,
       (SELECT CASE WHEN setting::int8 >= 0 THEN setting::int8 << 20 END
        FROM pg_settings WHERE name = 'max_slot_wal_keep_size') AS budget
FROM pg_replication_slots WHERE slot_name = %s
"""

_TABLES = """
SELECT t.source, t.name, t.parked, t.mend, t.shape, t.targets,
       EXISTS (SELECT FROM millrace.backfills b WHERE (b.source, b.name) = (t.source, t.name) AND b.finished_at IS NOT NULL) AS backfilled,
       (SELECT array[count(c.rows), count(*)] FROM millrace.backfills b JOIN millrace.chunks c ON c.backfill = b.id
        WHERE (b.source, b.name) = (t.source, t.name) AND b.finished_at IS NULL) AS copying,
       (SELECT count(*) FROM millrace.dead_letters d
        WHERE (d.source, d.name) = (t.source, t.name) AND d.resolved_at IS NULL) AS open_letters,
       p.proven_at, p.differing
FROM millrace.tables t
LEFT JOIN LATERAL (SELECT proven_at, differing FROM millrace.proofs p
                   WHERE (p.source, p.name) = (t.source, t.name) ORDER BY proven_at DESC LIMIT 1) AS p ON true
ORDER BY t.source, t.name
"""


@dataclass(frozen=True)
class Status:
    """All sources, as of one moment (seconds since 1970)."""

    at: float
    sources: tuple[SourceStatus, ...]
    waits: tuple[Wait, ...] = ()
    """Sinks that wait for their target, with the reason."""


def collect(
    config: CdcSettings, state: psycopg.Connection[Any], kafka: Kafka, connect: ConnectClient | None = None
) -> Status:
    """Ask every part once: Connect through this client, else through one of its own. When it is away it is asked once only.

    Raises:
        TransientError: Kafka does not answer, without which nothing can be said.
    """
    with state.cursor(row_factory=dict_row) as cursor:
        tables = cursor.execute(_TABLES).fetchall()
    applied = engine_state.applied_sources(state)
    invalidating = {(file.source, table) for file, _ in applied for table in file.invalidate}
    for row in tables:
        row["targets"] = [*row["targets"], *(["cache"] if (row["source"], row["name"]) in invalidating else [])]
    lags = _lags(kafka, tables)
    sources = []
    away: str | None = None
    with nullcontext(connect) if connect else closing(ConnectClient(config.connect_url)) as client:
        for file, known in applied:
            mine = tuple(_table(row, lags) for row in tables if row["source"] == file.source)
            slot, problem = _slot(file, known)
            try:
                connector = away or _connector(client, file.source)
            except CdcError as error:
                connector = away = str(error)
            sources.append(
                SourceStatus(
                    source=file.source,
                    epoch=known.epoch,
                    connector=connector,
                    retained=slot.get("retained"),
                    unread=slot.get("unread"),
                    budget=slot.get("budget"),
                    wal_status=slot.get("wal_status"),
                    written=slot.get("written"),
                    read=slot.get("active"),
                    problem=f"its epoch is being raised: {known.raising}" if known.raising else problem,
                    tables=mine,
                    limit=file.slot_limit_bytes,
                )
            )
    return Status(time.time(), tuple(sources), tuple(waits.current(state)))


def _topic(row: dict[str, Any]) -> str:
    return Shape.from_dict(row["shape"]).topic


def _table(row: dict[str, Any], lags: dict[tuple[str, str], GroupLag]) -> TableStatus:
    topic, copying = _topic(row), row["copying"]
    return TableStatus(
        table=f"{row['source']}.{row['name']}",
        lags=tuple(lags[topic, target] for target in row["targets"] if (topic, target) in lags),
        open_letters=row["open_letters"],
        backfilled=row["backfilled"],
        copying=(copying[0], copying[1]) if copying and copying[1] else None,
        parked=row["parked"],
        mend=row["mend"],
        proven_at=row["proven_at"],
        differing=row["differing"],
    )


def _lags(kafka: Kafka, tables: Iterable[dict[str, Any]]) -> dict[tuple[str, str], GroupLag]:
    """For each topic and target the records between what is committed and the topic's end."""
    wanted: dict[str, list[str]] = {}
    for row in tables:
        for target in row["targets"]:
            wanted.setdefault(target, []).append(_topic(row))
    ends = kafka.bounds_of({topic for topics in wanted.values() for topic in topics})
    lags = {}
    for target, topics in wanted.items():
        committed = kafka.committed(GROUPS[target], topics)
        read = {topic for topic, _ in committed}
        for topic in topics:
            if target == "elasticsearch" and topic not in read and any(end for _, end in ends.get(topic, {}).values()):
                continue  # a table that no document shows is not read by that group
            lags[topic, target] = _lag(kafka, target, topic, ends.get(topic, {}), committed)
    return lags


def _lag(
    kafka: Kafka, target: str, topic: str, ends: dict[int, tuple[int, int]], committed: dict[tuple[str, int], int]
) -> GroupLag:
    records, size, oldest = 0, 0, time.time()
    now = oldest
    for partition, (first, end) in ends.items():
        next_one = committed.get((topic, partition), first)
        if end <= next_one:
            continue
        records += end - next_one
        if record := kafka.record_at(topic, partition, next_one):
            written_at, length = record
            oldest, size = min(oldest, written_at), size + (end - next_one) * length
    return GroupLag(target, records, round(now - oldest, 3), size)


def _slot(file: SourceFile, known: engine_state.SourceState) -> tuple[dict[str, Any], str | None]:
    try:
        with source_database.connect(file) as source, source.cursor(row_factory=dict_row) as cursor:
            if former := former_primary(file, known, source):
                return {}, former
            found = cursor.execute(_SLOT, [file.slot]).fetchone()
    except (CdcError, psycopg.Error) as error:
        return {}, " ".join(str(error).split())
    if found is None:
        return {}, f"the slot {file.slot} is gone"
    if found["wal_status"] == "lost":
        return found, f"the server has let go of the slot {file.slot}; it is made anew, under a new epoch"
    return found, None


def _connector(connect: ConnectClient, name: str) -> str:
    if connect.running(name):
        return "running"
    return "; ".join(connect.failures(name)) or "not running"
