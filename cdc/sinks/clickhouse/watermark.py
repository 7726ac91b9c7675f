"""Publishes in ClickHouse below which batch number everything is complete, for readers that follow ``_batch``.

The numbers are kept in PostgreSQL; dbt reads only ClickHouse, so the limit is mirrored into one row there. Beside it stand the outcomes
of proofs (`cdc.verify`), for the same readers.
"""

import logging
import time
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from cdc import state as engine_state
from cdc.clickhouse import first_line
from cdc.sinks.clickhouse.writer import KEEP_FREE

log = logging.getLogger("millrace.clickhouse-sink")

_AT_MOST_EVERY = 1.0
_KEEP_CLOSED = "1 day"

DDL = (
    "CREATE DATABASE IF NOT EXISTS raw_millrace",
    "CREATE TABLE IF NOT EXISTS raw_millrace.batch_watermark (readable_below UInt64, at DateTime64(6, 'UTC')) "
    "ENGINE = ReplacingMergeTree(at) ORDER BY tuple()",
    "CREATE TABLE IF NOT EXISTS raw_millrace.proofs (source String, table_name String, proven_at DateTime64(6, 'UTC'), "
    "rows_source UInt64, rows_target UInt64, differing UInt64) "
    "ENGINE = ReplacingMergeTree ORDER BY (source, table_name, proven_at) TTL toDateTime(proven_at) + INTERVAL 400 DAY",
)


class Watermark:
    """Mirrors `cdc.state.readable_below`, at most once a second and only when it moved."""

    def __init__(self, state: psycopg.Connection[Any], clickhouse: Client) -> None:
        self._state = state
        self._clickhouse = clickhouse
        self._published = 0
        self._due = 0.0
        for statement in DDL:
            clickhouse.command(statement)

    def publish(self) -> None:
        """Write the limit if it is due and has moved; cheap otherwise.

        Where ClickHouse does not take it, readers stay below the old limit for a while longer; the next time tells them.
        """
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + _AT_MOST_EVERY
        limit = engine_state.readable_below(self._state)
        if limit > self._published:
            try:
                publish(self._clickhouse, limit)
            except DatabaseError as error:
                log.warning("ClickHouse does not take how far readers may read, tried again: %s", first_line(error))
                return
            self._published = limit
            engine_state.forget_closed(self._state, limit, _KEEP_CLOSED)


def publish(clickhouse: Client, limit: int) -> None:
    """Write one limit; the latest by time counts."""
    clickhouse.command(
        f"INSERT INTO raw_millrace.batch_watermark VALUES ({limit}, now64(6, 'UTC'))",
        settings={"min_free_disk_bytes_to_perform_insert": KEEP_FREE},
    )


def tell_proof(clickhouse: Client, source: str, table: str, rows: tuple[int, int], differing: int) -> None:
    """Write the outcome of a proof; ``rows`` is (source, copy)."""
    for statement in DDL:
        clickhouse.command(statement)
    clickhouse.command(
        "INSERT INTO raw_millrace.proofs SELECT {source:String}, {table:String}, now64(6, 'UTC'), "
        f"{rows[0]}, {rows[1]}, {differing}",
        {"source": source, "table": table},
        settings={"min_free_disk_bytes_to_perform_insert": KEEP_FREE},
    )
