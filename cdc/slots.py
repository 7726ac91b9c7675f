"""A source's replication slot: making it, what can be done with it still, and giving it up.

From PostgreSQL 17 on slots are made as *failover slots*: a standby that is set so keeps a copy, and a promotion does not lose them
(`cdc.line` says what is done then). Older servers know no such slots: a promoted standby has none, and it is made anew.
"""

import contextlib
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from cdc import source_database
from cdc.errors import TransientError
from cdc.source_file import SourceFile
from cdc.version import parse_lsn
from cdc.waiting import wait_until

FAILOVER = 170000
"""Server version from which on slots can be kept by standbys."""
_PATIENCE = 30.0

_SLOT = """
SELECT coalesce(confirmed_flush_lsn, '0/0')::text AS confirmed, coalesce(to_jsonb(s) ->> 'failover' = 'true', false) AS failover,
       CASE WHEN to_jsonb(s) ->> 'invalidation_reason' IS NOT NULL OR wal_status = 'lost'
            THEN coalesce(to_jsonb(s) ->> 'invalidation_reason', 'wal_removed') END AS lost,
       coalesce(to_jsonb(s) ->> 'synced' = 'true', false) AS synced,
       coalesce(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn), 0)::int8 AS retained
FROM pg_replication_slots s WHERE slot_name = %s
"""

_WRITERS = "SELECT pid FROM pg_stat_activity WHERE backend_xid IS NOT NULL ORDER BY xact_start LIMIT 3"


class Slot(NamedTuple):
    """``confirmed`` is what its reader has stored; ``failover`` whether standbys may keep it; ``lost`` PostgreSQL's word for why it
    can be read no more (``wal_removed``), or None; ``synced`` whether it was kept by this server while that was a standby;
    ``retained`` how many bytes of log it keeps from being removed."""

    confirmed: int
    failover: bool
    lost: str | None
    synced: bool
    retained: int


def find_slot(source: psycopg.Connection[Any], name: str) -> Slot | None:
    """The slot as it is now; None when there is none of that name. Asks a primary."""
    row = source.execute(_SLOT, [name]).fetchone()
    return None if row is None else Slot(parse_lsn(row[0]), *row[1:])


def budget(source: psycopg.Connection[Any]) -> int | None:
    """How many bytes of log the server lets a slot keep before it lets go of it; None: without limit."""
    row = source.execute("SELECT setting::int8 FROM pg_settings WHERE name = 'max_slot_wal_keep_size'").fetchone()
    return None if row is None or row[0] < 0 else int(row[0]) << 20


def create_slot(source: psycopg.Connection[Any], file: SourceFile) -> None:
    """Make the source's replication slot, as one that standbys may keep where the server knows such.

    Raises:
        TransientError: transactions that write were open and did not end within half a minute; it says which.
    """
    failover = ", failover => true" if source.info.server_version >= FAILOVER else ""
    create = f"SELECT pg_create_logical_replication_slot(%s, 'pgoutput'{failover})"
    try:
        with source.transaction():
            source.execute(f"SET LOCAL statement_timeout = '{_PATIENCE:g}s'".encode())
            source.execute(create.encode(), [file.slot])
    except psycopg.errors.QueryCanceled as error:
        pids = ", ".join(str(pid) for (pid,) in source.execute(_WRITERS)) or "none that is open still"
        raise TransientError(
            f"source {file.source}: the slot {file.slot} can be made once every transaction that writes now has ended "
            f"(pids {pids}); end them, or wait, then try again"
        ) from error


def let_standbys_keep(file: SourceFile) -> None:
    """Make a slot that nobody reads now, and that was made before its server knew failover slots, one."""
    with source_database.connect(file, replication=True) as session:
        try:
            session.execute(sql.SQL("ALTER_REPLICATION_SLOT {} (FAILOVER true)").format(sql.Identifier(file.slot)))
        except psycopg.errors.ObjectInUse as error:
            raise TransientError(
                f"source {file.source}: the slot {file.slot} is still in use; is another connector reading it?"
            ) from error


def drop_slot(source: psycopg.Connection[Any], file: SourceFile, *, by_force: bool = False) -> None:
    """Drop the slot as soon as its reader has let go of it; ``by_force`` ends the reader's session.

    Raises:
        TransientError: somebody reads it still after half a minute.
    """

    def dropped() -> bool:
        row = source.execute("SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", [file.slot]).fetchone()
        if row is None:
            return True
        if row[0] is None:
            with contextlib.suppress(psycopg.errors.ObjectInUse):  # a reader who comes back just now
                source.execute("SELECT pg_drop_replication_slot(%s)", [file.slot])
        elif by_force:
            source.execute("SELECT pg_terminate_backend(%s)", [row[0]])
        return False

    wait_until(
        dropped,
        _PATIENCE,
        lambda: f"source {file.source}: the slot {file.slot} is still in use; is another connector reading it?",
    )
