"""Mends the copies that something has asked to be mended: after an epoch was raised, or a column came with a default.

What was not copied to its end is copied first: comparing would find all of it, key by key.
"""

import logging
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import state as engine_state
from cdc.backfill.copy import backfill
from cdc.backfill.jobs import unfinished
from cdc.repair import repair_documents, repair_tables
from cdc.settings import settings

log = logging.getLogger("millrace.keeper")


def mend_asked(source: str, state: psycopg.Connection[Any], target: Client) -> None:
    """Compare every table of a source that is asked for with it and mend it, and the documents of the source.

    Raises:
        CdcError: a copy or a comparison could not be made; what is not mended is asked for still.
    """
    _copy_due(source, state, target)
    tables = [table for table in engine_state.captured_tables(state, source) if table.mend and not table.parked]
    equal = []
    for table in tables:
        [mended] = repair_tables([source], [table.shape.qualified])
        log.info(
            "%s (%s): %d keys differed, equal now: %s",
            table.shape.topic,
            table.mend,
            mended.differing,
            mended.proof.equal,
        )
        if mended.proof.differing == 0:
            equal.append(table)
    if any("elasticsearch" in table.targets for table in tables):
        for documents in repair_documents([source]):
            log.info("index %s: %s", documents.proof.index, "mended" if documents.proof.equal else "NOT equal")
    for table in equal:
        engine_state.mended(state, table.shape, str(table.mend))


def _copy_due(source: str, state: psycopg.Connection[Any], target: Client) -> None:
    with engine_state.line_of(state, source):  # who captures tables, or raises the epoch, ends that first
        known, file = engine_state.find_source(state, source), engine_state.applied_file(state, source)
        due = unfinished(state, source)
        shapes = [
            table.shape
            for table in engine_state.captured_tables(state, source)
            if table.mend and not table.parked and not table.reshaping and table.shape.qualified in due
        ]
    if shapes and known is not None and file is not None:
        for copied in backfill(file, shapes, known.epoch, settings().millrace_state_dsn, target):
            log.info("%s.%s: %d rows are copied", source, copied.name, copied.rows)
