"""Settles what `cdc.floors` keeps: once the sinks have passed its position, nothing that it ended can arrive, and the last sweep
is made."""

import logging
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import floors, source_database
from cdc import state as engine_state
from cdc.backfill.sweep import sweep
from cdc.errors import TransientError
from cdc.floors import Floor
from cdc.kafka import Kafka
from cdc.sinks.positions import CLICKHOUSE_GROUP
from cdc.verify.passed import wait_until_passed

log = logging.getLogger("millrace.keeper")

_PATIENCE = 10.0
WRITER = "keeper"


def settle_floors(state: psycopg.Connection[Any], kafka: Kafka, target: Client) -> None:
    """Settle every floor and snapshot whose position the sinks have passed; the others are left for the next call.

    Raises:
        CdcError: a part did not answer.
    """
    unsettled = [each for each in floors.everything(state) if not each.settled]
    if not unsettled:
        return
    files = {file.source: file for file, _ in engine_state.applied_sources(state)}
    tables = engine_state.captured_tables(state)
    shapes = {(t.shape.source, t.shape.qualified): t.shape for t in tables if t.parked is None}
    patience = _PATIENCE
    for each in unsettled:
        if (each.source, each.name) not in shapes:
            continue  # nobody reads its topic now
        kind = "floor" if isinstance(each, Floor) else "snapshot"
        shape = shapes[each.source, each.name]
        with source_database.connect(files[each.source]) as source:
            lsn = source_database.insert_lsn(source)  # not below the TRUNCATE, nor the snapshot: both are past
            try:
                wait_until_passed(
                    files[each.source], source, kafka, [CLICKHOUSE_GROUP], [shape.topic], lsn, patience=patience
                )
            except TransientError as error:
                patience = 0  # the sink is behind: one wait at a turn is enough
                log.info("the %s of %s is not settled yet: %s", kind, shape.topic, error)
                continue
        sweep(target, state, WRITER, shape, each.version, each.swept, patience=_PATIENCE)
        floors.settle(state, each)
        log.info("the %s of %s is settled", kind, shape.topic)
