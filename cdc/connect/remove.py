"""Takes a source out whole: connector and its offsets, slot, publication, topics, raw database, indexes, state."""

import time
from contextlib import closing
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client
from psycopg import sql

from cdc import documents, source_database
from cdc import state as engine_state
from cdc.backfill.append_only import staging_table
from cdc.clickhouse import quote
from cdc.connect.client import ConnectClient
from cdc.errors import TransientError
from cdc.kafka import Kafka
from cdc.settings import CdcSettings
from cdc.source_file import SourceFile

_PATIENCE = 30.0
_POLL = 0.1


def remove_source(
    file: SourceFile, config: CdcSettings, state: psycopg.Connection[Any], kafka: Kafka, target: Client
) -> None:
    """Undo `apply`, with the copies; safe to repeat, and safe when only a part of it was ever made.

    The sinks are told first (through the state), so that none reads a topic that goes.

    Raises:
        TransientError: a part did not answer, or the connector did not let go of its slot.
    """
    with engine_state.line_of(state, file.source):
        shapes = [table.shape for table in engine_state.captured_tables(state, file.source)]
        engine_state.forget_source(state, file.source)
        with closing(ConnectClient(config.connect_url)) as connect:
            connect.remove(file.source)
        with source_database.connect(file) as source:
            trees = documents.load_trees(file, source) if file.documents else ()
            drop_slot(source, file)
            source.execute(sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(file.publication)))
        kafka.delete_topics(
            [*(shape.topic for shape in shapes), f"__debezium-heartbeat.{file.source}", f"{file.source}.message"]
        )
        for shape in shapes:
            target.command(f"DROP TABLE IF EXISTS {staging_table(shape)}")
        target.command(f"DROP DATABASE IF EXISTS {quote(file.raw_database)}")
        documents.remove(trees, config)


def drop_slot(source: psycopg.Connection[Any], file: SourceFile) -> None:
    """Drop the slot as soon as the connector has let go of it."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        row = source.execute("SELECT active FROM pg_replication_slots WHERE slot_name = %s", [file.slot]).fetchone()
        if row is None:
            return
        if not row[0]:
            source.execute("SELECT pg_drop_replication_slot(%s)", [file.slot])
            return
        if time.monotonic() > deadline:
            raise TransientError(
                f"source {file.source}: the slot {file.slot} is still in use; is another connector reading it?"
            )
        time.sleep(_POLL)  # polls a server-side condition that has no notification
