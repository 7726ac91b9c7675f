"""Ends the rows of a copy that its source no longer has, after the whole table was copied below a fence.

Every row that the source had at the fence was copied with the fence's stamp, and what changed since has a higher version
once the sink has written it. So after the sinks have passed a position taken when the copy was over, a live row below the
stamp is one that the source does not have.
"""

from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import floors, source_database
from cdc.backfill.jobs import Backfill
from cdc.catalog import Shape
from cdc.kafka import Kafka
from cdc.settings import settings
from cdc.sinks.clickhouse import history, raw_table, writer
from cdc.sinks.positions import CLICKHOUSE_GROUP
from cdc.source_file import SourceFile
from cdc.verify.passed import wait_until_passed

_PATIENCE = 120.0


def rows_below(target: Client, shape: Shape, job: Backfill) -> int:
    """Live rows of a version below the backfill's."""
    below = f"_version < toUInt128('{job.stamp}')"
    for final in ("", "FINAL"):  # the first look costs next to nothing, and after a first load it is enough
        count = target.query(f"SELECT count() FROM {raw_table.qualified(shape)} {final} WHERE {below}").result_rows
        if count[0][0] == 0:
            return 0
    return int(count[0][0])


def wait_for_the_stream(file: SourceFile, source: psycopg.Connection[Any], shapes: list[Shape]) -> None:
    """Return once everything that was committed before now is in the raw tables.

    Raises:
        TransientError: the connector or the sink is behind; says which.
    """
    kafka = Kafka(settings().kafka_bootstrap)
    try:
        topics = [shape.topic for shape in shapes]
        position = source_database.insert_lsn(source)
        wait_until_passed(file, source, kafka, [CLICKHOUSE_GROUP], topics, position, patience=_PATIENCE)
    finally:
        kafka.close()


def sweep(
    target: Client,
    state: psycopg.Connection[Any],
    writer_name: str,
    shape: Shape,
    stamp: int,
    among: str = "1",
    *,
    patience: float = _PATIENCE,
) -> None:
    """Write a tombstone of version ``stamp`` for every live row below it that meets the condition."""
    writer.insert(
        target,
        state,
        writer_name,
        shape,
        b"",
        lambda batch: raw_table.sweep_insert(shape, stamp, batch, among),
        {},
        patience=patience,
        log_statement=lambda batch: history.end_statement(shape, stamp, batch, among),
        log_first=True,
    )


def sweep_truncated(target: Client, state: psycopg.Connection[Any], writer_name: str, shape: Shape, stamp: int) -> None:
    """End what was copied below ``stamp`` where the table was truncated above it meanwhile: it may have been read before."""
    floor = floors.all_floors(state, shape.source).get((shape.source, shape.qualified))
    if floor is not None and floor.version > stamp:
        sweep(target, state, writer_name, shape, floor.version)
