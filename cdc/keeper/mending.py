"""Mends the copies that something has asked to be mended: after an epoch was raised, or a column came with a default."""

import logging
from typing import Any

import psycopg

from cdc import state as engine_state
from cdc.repair import repair_documents, repair_tables

log = logging.getLogger("millrace.keeper")


def mend_asked(source: str, state: psycopg.Connection[Any]) -> None:
    """Compare every table of a source that is asked for with it and mend it, and the documents of the source.

    Raises:
        CdcError: a comparison could not be made; what is not mended is asked for still.
    """
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
