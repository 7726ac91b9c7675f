"""Looks again at what was erased, once every member has heard of it, and forgets what need not be remembered any longer."""

import logging
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import dead_letters, erasures, source_database
from cdc import state as engine_state
from cdc.erase import letters, tables

log = logging.getLogger("millrace.keeper")

_HEARD = "30 seconds"  # sinks know of an erasure with their next batch; a replay of dead letters that had begun may not


def settle_erasures(state: psycopg.Connection[Any], target: Client) -> None:
    """Erase once more what a member wrote that had not heard of it when it read older changes again.

    Raises:
        CdcError: a part did not answer.
    """
    files = {file.source: file for file, _ in engine_state.applied_sources(state)}
    tables_now = {(t.shape.source, t.shape.qualified): t for t in engine_state.captured_tables(state)}
    for each in erasures.unsettled(state, _HEARD):
        table = tables_now.get((each.source, each.name))
        if table is not None and table.reshaping:
            continue  # its new copy, which readers do not see yet, may have been read before
        shape = table.shape if table is not None else None
        if shape is not None:
            with source_database.connect(files[each.source]) as source:
                letters.delete(state, source, shape, each, ())
            if left := tables.delete_below(target, each, shape):
                log.warning("%s: %d versions of an erased row had come back, and are erased again", shape.topic, left)
                erasures.deleted(state, each)
                continue
            if tables.former_parts(target, shape, each.erased_at):
                continue
            if [(e.source, e.name) for e in erasures.unsettled(state, "0 seconds")].count(
                (each.source, each.name)
            ) == 1:
                tables.let_parts_live(target, shape)
            log.info("%s: a key is erased, from the files as well", shape.topic)
        erasures.settle(state, each)
    erasures.forget(state)
    dead_letters.forget_resolved(state)
