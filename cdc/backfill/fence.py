"""The fence: a position below which every commit is visible to a copy, and above which the stream wins.

On the primary, with the slot present and the publication committed: read L0, commit a message of our own, take a
transaction id X in a new transaction, and wait until every transaction older than X has ended. Whatever commits after
the message has a version above (epoch, L0, 0); whatever committed before it is visible to every later snapshot.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import psycopg

from cdc.errors import TransientError
from cdc.source_database import insert_lsn

log = logging.getLogger("millrace.backfill")

_POLL = 0.02
_SAY_AFTER = 5.0

_BLOCKERS = """
SELECT string_agg(blocker, '; ') FROM (
    SELECT format('pid %s in %s (%s, since %s)', pid, datname, state, date_trunc('second', xact_start)) AS blocker
    FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
    UNION ALL
    SELECT format('prepared transaction %L in %s (since %s)', gid, database, date_trunc('second', prepared))
    FROM pg_prepared_xacts) AS blockers
"""


def raise_fence(
    source: psycopg.Connection[Any], *, patience: float = 600.0, say: Callable[[str], None] = log.warning
) -> int:
    """Put a fence into the source and return L0 once every transaction that was open at it has ended.

    Args:
        source: an autocommit session on the primary.
        patience: seconds to wait for open transactions.
        say: told, once, whom the fence waits for.

    Raises:
        TransientError: transactions older than the fence were still open after ``patience``; names them.
    """
    fence = insert_lsn(source)
    source.execute("SELECT pg_logical_emit_message(true, 'millrace.fence', '')")
    row = source.execute("SELECT pg_current_xact_id()::text").fetchone()
    assert row is not None
    started, said = time.monotonic(), False
    while True:
        passed = source.execute("SELECT pg_snapshot_xmin(pg_current_snapshot()) > %s::xid8", [row[0]]).fetchone()
        assert passed is not None
        if passed[0]:
            return fence
        waited = time.monotonic() - started
        if (waited > _SAY_AFTER and not said) or waited > patience:
            blockers = source.execute(_BLOCKERS).fetchone()
            names = (blockers and blockers[0]) or "one that has just ended"
            if waited > patience:
                raise TransientError(
                    f"the backfill waited {patience:g} s for transactions older than its fence: {names}; end them and try again"
                )
            say(f"waiting for transactions that were open before the backfill: {names}")
            said = True
        time.sleep(_POLL)  # polls a server-side condition that has no notification
