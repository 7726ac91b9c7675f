"""Settles floors: once the sinks have passed a TRUNCATE's position, nothing older can arrive, and the last sweep is made."""

import logging
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import floors, source_database
from cdc import state as engine_state
from cdc.backfill.sweep import sweep
from cdc.errors import TransientError
from cdc.kafka import Kafka
from cdc.sinks.positions import CLICKHOUSE_GROUP
from cdc.verify.passed import wait_until_passed

log = logging.getLogger("millrace.keeper")

_PATIENCE = 10.0
WRITER = "keeper"


def settle_floors(state: psycopg.Connection[Any], kafka: Kafka, target: Client) -> None:
    """Settle every floor whose position the sinks have passed; the others are left for the next call.

    Raises:
        CdcError: a part did not answer.
    """
    unsettled = [floor for floor in floors.all_floors(state).values() if not floor.settled]
    if not unsettled:
        return
    files = {file.source: file for file, _ in engine_state.applied_sources(state)}
    shapes = {(t.shape.source, t.shape.qualified): t.shape for t in engine_state.captured_tables(state)}
    for floor in unsettled:
        shape = shapes[floor.source, floor.name]
        with source_database.connect(files[floor.source]) as source:
            lsn = source_database.insert_lsn(source)  # not below the TRUNCATE: the sink has read it
            try:
                wait_until_passed(
                    files[floor.source], source, kafka, [CLICKHOUSE_GROUP], [shape.topic], lsn, patience=_PATIENCE
                )
            except TransientError as error:
                log.info("the floor of %s is not settled yet: %s", shape.topic, error)
                continue
        sweep(target, state, WRITER, shape, floor.version, patience=_PATIENCE)
        floors.settle(state, floor)
        log.info("the floor of %s is settled", shape.topic)
