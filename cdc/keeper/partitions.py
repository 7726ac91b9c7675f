"""Watches the leaves of partitioned tables: what happens to a leaf as a whole is in no event of its root.

TRUNCATE, ATTACH, DETACH and DROP of a partition send nothing when a table is published by its root. A leaf that came, went, or is
held by another file has the table compared with its source and mended. So has one that was only rewritten (VACUUM FULL): that
costs a comparison.
"""

import logging
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from cdc import source_database
from cdc import state as engine_state
from cdc.catalog import Shape
from cdc.source_file import SourceFile

log = logging.getLogger("millrace.keeper")

_LEAVES = """
SELECT t.relid::int8, pg_relation_filenode(t.relid)::int8
FROM pg_partition_tree(format('%%I.%%I', %s::text, %s::text)::regclass) t WHERE t.isleaf AND pg_relation_filenode(t.relid) IS NOT NULL
ORDER BY 1
"""


def watch(file: SourceFile, state: psycopg.Connection[Any]) -> None:
    """Look at the leaves of the source's partitioned tables, and ask for those to be mended whose leaves have changed.

    Raises:
        TransientError: the source does not answer.
    """
    shapes = [
        table.shape
        for table in engine_state.captured_tables(state, file.source)
        if table.shape.partitioned and table.parked is None
    ]
    if not shapes:
        return
    with source_database.connect(file) as source:
        for shape in shapes:
            leaves = [list(row) for row in source.execute(_LEAVES, [shape.schema, shape.table])]
            before = _last_seen(state, shape)
            if leaves == before:
                continue
            with state.transaction():
                if before is not None:
                    log.info("%s: its partitions have changed", shape.topic)
                    engine_state.ask_to_mend(state, shape, "its partitions have changed")
                state.execute(
                    "UPDATE millrace.tables SET leaves = %s WHERE source = %s AND name = %s",
                    [Jsonb(leaves), shape.source, shape.qualified],
                )


def _last_seen(state: psycopg.Connection[Any], shape: Shape) -> list[list[int]] | None:
    row = state.execute(
        "SELECT leaves FROM millrace.tables WHERE source = %s AND name = %s", [shape.source, shape.qualified]
    ).fetchone()
    return None if row is None else row[0]
