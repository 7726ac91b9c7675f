"""Collects a status from the state, the sources, Connect and Kafka. A source that cannot be asked is shown with the reason."""

import time
from collections.abc import Iterable
from contextlib import closing
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
from cdc.settings import CdcSettings
from cdc.sinks.positions import CLICKHOUSE_GROUP, DOCUMENTS_GROUP
from cdc.source_file import SourceFile
from cdc.status.facts import GroupLag, SourceStatus, TableStatus
from cdc.waits import Wait

GROUPS = {"clickhouse": CLICKHOUSE_GROUP, "elasticsearch": DOCUMENTS_GROUP}

_SLOT = """
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::int8 AS retained,
       pg_wal_lsn_diff(pg_current_wal_insert_lsn(), confirmed_flush_lsn)::int8 AS unread, wal_status,
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


def collect(config: CdcSettings, state: psycopg.Connection[Any], kafka: Kafka) -> Status:
    """Ask every part once.

    Raises:
        TransientError: Kafka does not answer, without which nothing can be said.
    """
    with state.cursor(row_factory=dict_row) as cursor:
        tables = cursor.execute(_TABLES).fetchall()
    lags = _lags(kafka, tables)
    sources = []
    with closing(ConnectClient(config.connect_url)) as connect:
        for file, known in engine_state.applied_sources(state):
            mine = tuple(_table(row, lags) for row in tables if row["source"] == file.source)
            slot, problem = _slot(file)
            sources.append(
                SourceStatus(
                    source=file.source,
                    epoch=known.epoch,
                    connector=_connector(connect, file.source),
                    retained=slot.get("retained"),
                    unread=slot.get("unread"),
                    budget=slot.get("budget"),
                    wal_status=slot.get("wal_status"),
                    problem=f"its epoch is being raised: {known.raising}" if known.raising else problem,
                    tables=mine,
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
    ends = {topic: kafka.bounds(topic) for topic in {t for topics in wanted.values() for t in topics}}
    lags = {}
    for target, topics in wanted.items():
        committed = kafka.committed(GROUPS[target], topics)
        read = {topic for topic, _ in committed}
        for topic in topics:
            if target == "elasticsearch" and topic not in read and any(end for _, end in ends[topic].values()):
                continue  # a table that no document shows is not read by that group
            behind = {
                partition: end - committed.get((topic, partition), first)
                for partition, (first, end) in ends[topic].items()
                if end > committed.get((topic, partition), first)
            }
            oldest = [
                at
                for partition in behind
                if (at := kafka.written_at(topic, partition, committed.get((topic, partition), 0))) is not None
            ]
            seconds = max(time.time() - min(oldest), 0.0) if oldest else 0.0
            lags[topic, target] = GroupLag(target, sum(behind.values()), round(seconds, 3))
    return lags


def _slot(file: SourceFile) -> tuple[dict[str, Any], str | None]:
    try:
        with source_database.connect(file) as source, source.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(_SLOT, [file.slot]).fetchone()
    except (CdcError, psycopg.Error) as error:
        return {}, " ".join(str(error).split())
    if found is None:
        return {}, f"the slot {file.slot} is gone"
    return found, None


def _connector(connect: ConnectClient, name: str) -> str:
    try:
        if connect.running(name):
            return "running"
        return "; ".join(connect.failures(name)) or "not running"
    except CdcError as error:
        return str(error)
