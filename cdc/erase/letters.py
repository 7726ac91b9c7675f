"""Erasing among the dead letters: those of the key, and those of documents that may show it."""

from collections.abc import Collection
from typing import Any

import psycopg

from cdc.catalog import Shape
from cdc.documents import Tree
from cdc.documents.letters import TARGET as DOCUMENTS
from cdc.documents.reading import document_id
from cdc.erasures import Erasure
from cdc.message_keys import spelled
from cdc.sinks.clickhouse.table_writer import TARGET as ROWS


def delete(
    state: psycopg.Connection[Any],
    source: psycopg.Connection[Any],
    shape: Shape,
    erasure: Erasure,
    trees: Collection[Tree],
) -> int:
    """Delete what is parked of the key below its erasure, whatever became of it, and of documents that may hold its row:
    all that is resolved, and where the key is a root's its own. How many."""
    found = state.execute(
        "SELECT id, key FROM millrace.dead_letters WHERE (target, source, name) = (%s, %s, %s) AND version < %s",
        [ROWS, shape.source, shape.qualified, erasure.version],
    ).fetchall()
    mine = [number for number, key in found if spelled(source, shape, [key]).keys() == {erasure.key}]
    count = state.execute("DELETE FROM millrace.dead_letters WHERE id = ANY(%s)", [mine]).rowcount
    for tree in trees:
        root = document_id(erasure.key) if tree.root.shape.qualified == shape.qualified else None
        count += state.execute(
            """
            DELETE FROM millrace.dead_letters
            WHERE (target, source, name) = (%s, %s, %s) AND (resolved_at IS NOT NULL OR key = %s)
            """,
            [DOCUMENTS, shape.source, tree.index, root],
        ).rowcount
    return count
