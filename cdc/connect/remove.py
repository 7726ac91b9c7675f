"""Takes a source out whole: connector and its offsets, slot, publication, topics, raw database, indexes, state."""

from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client
from psycopg import sql

from cdc import documents, source_database
from cdc import state as engine_state
from cdc.backfill.append_only import staging_table
from cdc.connect.client import ConnectClient
from cdc.kafka import Kafka
from cdc.settings import CdcSettings
from cdc.sinks.clickhouse import cluster, raw_table
from cdc.slots import drop_slot
from cdc.source_file import SourceFile


def remove_source(
    file: SourceFile, config: CdcSettings, state: psycopg.Connection[Any], kafka: Kafka, target: Client
) -> None:
    """Undo `apply`, with the copies; safe to repeat, and safe when only a part of it was ever made.

    The sinks are told first (through the state), so that none reads a topic that goes.

    Raises:
        TransientError: a part did not answer, or the connector did not let go of its slot.
    """
    with engine_state.line_of(state, file.source):
        known = engine_state.find_source(state, file.source)
        shapes = [table.shape for table in engine_state.captured_tables(state, file.source)]
        engine_state.forget_source(state, file.source)
        with closing(ConnectClient(config.connect_url)) as connect:
            connect.remove(file.source)
        with source_database.connect(file) as source:
            # what was never applied made no index, and need not even be applicable
            trees = documents.load_trees(file, source) if file.documents and known else ()
            drop_slot(source, file)
            source.execute(sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(file.publication)))
        own = (f"__debezium-heartbeat.{file.source}", f"{file.source}.message", documents.roots_topic(file.source))
        kafka.delete_topics([*(shape.topic for shape in shapes), *own])
        for shape in shapes:
            cluster.drop(target, staging_table(shape), raw_table.qualified(replace(shape, staged=True)))
        cluster.drop_database(target, file.raw_database)
        documents.remove(trees, config)
