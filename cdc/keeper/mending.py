"""Mends the copies that something has asked to be mended: after an epoch was raised, or a column came with a default."""

import logging
from typing import Any

import psycopg

from cdc import state as engine_state
from cdc.repair import repair_documents, repair_tables

log = logging.getLogger("millrace.keeper")


def mend_asked(state: psycopg.Connection[Any]) -> None:
    """Compare every table that is asked for with its source and mend it, and the documents of its source.

    Raises:
        CdcError: a comparison could not be made; what is not mended is asked for still.
    """
    asked = [table for table in engine_state.captured_tables(state) if table.mend and not table.parked]
    for source in sorted({table.shape.source for table in asked}):
        mine = [table for table in asked if table.shape.source == source]
        if any("elasticsearch" in table.targets for table in mine):
            for documents in repair_documents([source]):
                log.info("index %s: %s", documents.proof.index, "mended" if documents.proof.equal else "NOT equal")
        for table in mine:
            [mended] = repair_tables([source], [table.shape.qualified])
            log.info(
                "%s (%s): %d keys differed, equal now: %s",
                table.shape.topic,
                table.mend,
                mended.differing,
                mended.proof.equal,
            )
            if mended.proof.differing == 0:
                engine_state.mended(state, table.shape, str(table.mend))
