"""Sets the gauges of the whole engine from a status, in one process: what each sink counts about itself it serves itself."""

from typing import Any

import psycopg

from cdc import metrics
from cdc.kafka import Kafka
from cdc.settings import CdcSettings
from cdc.status import SourceStatus, collect

_BY_TABLE = (metrics.DEAD_LETTERS, metrics.NOT_FOLLOWED, metrics.DIFFERING, metrics.PROOF_AGE)
_BY_TABLE_AND_TARGET = (metrics.LAG_ROWS, metrics.LAG_SECONDS)
_BY_SOURCE = (metrics.SLOT_BYTES, metrics.SLOT_USED, metrics.UNREAD_BYTES, metrics.EPOCH, metrics.CONNECTOR_UP)


def set_gauges(config: CdcSettings, state: psycopg.Connection[Any], kafka: Kafka) -> None:
    """Ask for the status and put it into the gauges; what is captured no longer disappears from them.

    Raises:
        TransientError: Kafka does not answer.
    """
    found = collect(config, state, kafka)
    for gauge in (*_BY_TABLE, *_BY_TABLE_AND_TARGET, *_BY_SOURCE):
        gauge.clear()
    for source in found.sources:
        _set(source, found.at)


def _set(source: SourceStatus, now: float) -> None:
    for gauge, value in (
        (metrics.SLOT_BYTES, source.retained),
        (metrics.SLOT_USED, source.used),
        (metrics.UNREAD_BYTES, source.unread),
        (metrics.EPOCH, source.epoch),
        (metrics.CONNECTOR_UP, source.connector == "running"),
    ):
        if value is not None:
            gauge.labels(source.source).set(value)
    for table in source.tables:
        metrics.DEAD_LETTERS.labels(table.table).set(table.open_letters)
        metrics.NOT_FOLLOWED.labels(table.table).set(table.parked is not None)
        if table.proven_at is not None:
            metrics.DIFFERING.labels(table.table).set(table.differing or 0)
            metrics.PROOF_AGE.labels(table.table).set(max(now - table.proven_at.timestamp(), 0))
        for lag in table.lags:
            metrics.LAG_ROWS.labels(lag.target, table.table).set(lag.records)
            metrics.LAG_SECONDS.labels(lag.target, table.table).set(lag.seconds)
