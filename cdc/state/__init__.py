"""The engine's own state, in the database `millrace`: sources, shapes, backfills, batch numbers, proofs.

Sources are never written to for bookkeeping. Every function takes the connection it works on; transactions belong to
the caller unless the docstring says otherwise.
"""

from pathlib import Path
from typing import Any

import psycopg

from cdc import failpoints
from cdc.state.batches import (
    close_abandoned,
    close_batch,
    close_orphaned,
    forget_closed,
    held_open,
    hold_batches,
    open_batch,
    open_batch_now,
    readable_below,
)
from cdc.state.sources import (
    SourceState,
    applied_file,
    applied_sources,
    begin_raise,
    change_line,
    end_raise,
    find_source,
    forget_source,
    line_of,
    remember_source,
)
from cdc.state.tables import (
    CapturedTable,
    ask_to_mend,
    ask_to_reshape,
    capture_table,
    captured_tables,
    mended,
    park_table,
    raise_revision,
    record_proof,
    release_table,
    revision,
    turn_history,
)

__all__ = [
    "CapturedTable",
    "SourceState",
    "applied_file",
    "applied_sources",
    "ask_to_mend",
    "ask_to_reshape",
    "begin_raise",
    "capture_table",
    "captured_tables",
    "change_line",
    "close_abandoned",
    "close_batch",
    "close_orphaned",
    "connect",
    "end_raise",
    "find_source",
    "forget_closed",
    "forget_source",
    "held_open",
    "hold_batches",
    "line_of",
    "mended",
    "open_batch",
    "open_batch_now",
    "park_table",
    "raise_revision",
    "readable_below",
    "record_proof",
    "release_table",
    "remember_source",
    "revision",
    "turn_history",
]

MIGRATIONS = Path(__file__).parents[1] / "migrations"


def connect(dsn: str) -> psycopg.Connection[Any]:
    """Open the state database in autocommit mode and bring its tables up to date."""
    connection = psycopg.connect(dsn, autocommit=True, connect_timeout=10)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext('millrace.migrations'))")
        connection.execute("CREATE SCHEMA IF NOT EXISTS millrace")
        connection.execute("CREATE TABLE IF NOT EXISTS millrace.migrations (name text PRIMARY KEY)")
        applied = {row[0] for row in connection.execute("SELECT name FROM millrace.migrations")}
        for path in sorted(MIGRATIONS.glob("*.sql")):
            if path.name not in applied:
                connection.execute(path.read_text())
                connection.execute("INSERT INTO millrace.migrations VALUES (%s)", [path.name])
    failpoints.arm(connection)
    return connection
