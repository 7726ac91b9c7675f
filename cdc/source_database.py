"""Connections to a source database and the questions about its log that several parts ask."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cdc.errors import CdcError, PermanentError, TransientError
from cdc.masking import check_key, session_options
from cdc.settings import settings
from cdc.source_file import SourceFile
from cdc.version import parse_lsn

SPELLING = "-c intervalstyle=postgres -c bytea_output=hex -c extra_float_digits=1"
"""Settings that decide how values are written as text, the same for COPY and for the connector's own session."""


def connect(file: SourceFile, *, replication: bool = False) -> psycopg.Connection[Any]:
    """A session on the source, in autocommit, in UTC, that sees every row. Of several hosts the one that takes writes is meant.

    ``row_security = off`` makes a policy an error instead of a silent filter: a copy that misses rows would let a
    repair delete the rest.

    Args:
        file: the source.
        replication: the session takes commands of the replication protocol too.

    Raises:
        ConfigurationError: columns are masked by a hash, and the key for it cannot be used.
        TransientError: the database does not answer, or none of several hosts takes writes.
    """
    more: dict[str, str] = {"replication": "database"} if replication else {}
    if several_hosts(file):
        more |= {"target_session_attrs": "read-write"}
    masks = f" {session_options(check_key(settings().cdc_mask_key))}" if file.hashes else ""
    try:
        return psycopg.connect(
            make_conninfo(file.conninfo, **more),
            autocommit=True,
            connect_timeout=10,
            application_name="millrace",
            options=f"-c row_security=off -c timezone=UTC -c datestyle=ISO,YMD -c synchronous_commit=on {SPELLING}{masks}",
        )
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split())
        raise TransientError(
            f"source {file.source}: the database does not answer ({reason}); is it up, and is `dsn` right?"
        ) from error


def several_hosts(file: SourceFile) -> bool:
    """Whether the DSN names several servers, of which one at a time is the primary."""
    return "," in str(conninfo_to_dict(file.conninfo).get("host", ""))


def address(source: psycopg.Connection[Any]) -> tuple[str, int]:
    """Host and port by which another process finds the server of a session; one behind a socket of this machine is on loopback."""
    host = source.info.host
    return host if host and not host.startswith("/") else "127.0.0.1", source.info.port


def failure(file: SourceFile, table: str, error: psycopg.Error) -> CdcError:
    """What an error while a table (``schema.table``) is read whole means for its caller."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return PermanentError(
            f"source {file.source}: {table} cannot be read whole ({reason}); the role of the `dsn` needs SELECT on it and, "
            "where it has row-level security, BYPASSRLS: a copy that misses rows would end the others"
        )
    if isinstance(error, psycopg.OperationalError):
        return TransientError(f"source {file.source} cannot be read: {reason}")
    return PermanentError(
        f"source {file.source}: {table} cannot be read ({reason}); has it changed? `millrace cdc plan` says more"
    )


@contextmanager
def reading(file: SourceFile, table: str) -> Iterator[None]:
    """Turns the driver's errors within the block into `failure`."""
    try:
        yield
    except psycopg.Error as error:
        raise failure(file, table, error) from error


def identity(source: psycopg.Connection[Any]) -> tuple[int, int]:
    """The server's system identifier and timeline; a change of either means that positions may have stepped back."""
    # not the control file's timeline: after a promotion that changes with the next checkpoint only
    timeline = "('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int"
    row = source.execute(f"SELECT system_identifier, {timeline} FROM pg_control_system()").fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def insert_lsn(source: psycopg.Connection[Any]) -> int:
    """The position at which the next record will be written."""
    row = source.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
    assert row is not None
    return parse_lsn(row[0])


def confirmed_lsn(source: psycopg.Connection[Any], slot: str) -> int | None:
    """What the slot's consumer has confirmed as stored in Kafka; None when there is no such slot."""
    row = source.execute(
        "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = %s", [slot]
    ).fetchone()
    return None if row is None or row[0] is None else parse_lsn(row[0])


# A change event carries 32 bits of its transaction's number: the nearest 64-bit number to the newest one is meant.
VISIBLE = """
SELECT bool_and(pg_visible_in_snapshot(
    greatest(top + (xid - (top & 4294967295) + 6442450944) %% 4294967296 - 2147483648, 3)::text::xid8, taken))
FROM (SELECT s AS taken, pg_snapshot_xmax(s)::text::int8 AS top FROM pg_current_snapshot() s) now,
     unnest(%s::int8[]) AS events (xid)
"""
"""Whether the transactions of change events are visible to a new snapshot: the log tells of a commit before they are."""


def estimated_rows(source: psycopg.Connection[Any], schema: str, table: str) -> int:
    """About how many rows a table has, as its last ANALYZE found; 0 when it was never looked at."""
    row = source.execute(
        "SELECT greatest(reltuples, 0)::int8 FROM pg_class WHERE oid = to_regclass(format('%%I.%%I', %s::text, %s::text))",
        [schema, table],
    ).fetchone()
    return int(row[0]) if row else 0


class Seen(NamedTuple):
    """A snapshot: transactions below ``xmin`` are seen, from ``xmax`` on not, and between them those that are not
    ``running``. ``lsn`` is an insert position read just after it was taken: what commits there or later is not seen."""

    xmin: int
    xmax: int
    running: tuple[int, ...]
    lsn: int


def begin_snapshot(source: psycopg.Connection[Any], table: sql.Composable) -> Seen:
    """Make the transaction that has just begun one that reads a table (as FROM names it) in one snapshot.

    The lock comes first: snapshots that are older than a TRUNCATE do not see the rows either, once it has ended.
    """
    source.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    source.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(table))
    row = source.execute(
        """
        SELECT pg_snapshot_xmin(s)::text::int8, pg_snapshot_xmax(s)::text::int8,
               ARRAY(SELECT x::text::int8 FROM pg_snapshot_xip(s) x), pg_current_wal_insert_lsn()::text
        FROM pg_current_snapshot() s
        """
    ).fetchone()
    assert row is not None
    return Seen(row[0], row[1], tuple(row[2]), parse_lsn(row[3]))


def in_recovery(source: psycopg.Connection[Any]) -> bool:
    """Whether the server is a standby."""
    row = source.execute("SELECT pg_is_in_recovery()").fetchone()
    assert row is not None
    return bool(row[0])


def heartbeat(source: psycopg.Connection[Any]) -> None:
    """Commit a message of ours, so that the slot moves past everything committed so far."""
    source.execute("SELECT pg_logical_emit_message(true, 'millrace.heartbeat', '')")
