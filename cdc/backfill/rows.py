"""Reads COPY's rows in pieces of bounded size.

libpq hands over one row at a time. Here a row costs one call and its bytes; through the cursor's own `copy` it costs
twice that. A piece is never longer than its bound and one row, however wide the rows are.
"""

import select
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult


class Piece(NamedTuple):
    """Some rows of one COPY, as text."""

    body: bytes
    rows: int


def read(source: psycopg.Connection[Any], copy: sql.Composed, most_bytes: int) -> Iterator[Piece]:
    """Run a COPY TO STDOUT; the rows in pieces of at most ``most_bytes`` and one row.

    The session is of no further use when the caller stops before the end: close it.

    Raises:
        psycopg.Error: what the server says; `psycopg.OperationalError` where the connection to it was lost.
    """
    started = source.pgconn.exec_(copy.as_bytes(source))
    if started.status != ExecStatus.COPY_OUT:
        raise _error(source, started)
    body, rows = bytearray(), 0
    while True:
        length, row = source.pgconn.get_copy_data(1)
        if length > 0:
            body += row
            rows += 1
            if len(body) >= most_bytes:
                yield Piece(bytes(body), rows)
                body, rows = bytearray(), 0
        elif length == 0:
            select.select([source.pgconn.socket], [], [])
            source.pgconn.consume_input()
        else:
            break
    failed = None
    while (result := source.pgconn.get_result()) is not None:
        if result.status != ExecStatus.COMMAND_OK:
            failed = failed or _error(source, result)
    if failed is not None:
        raise failed
    if rows:
        yield Piece(bytes(body), rows)


def _error(source: psycopg.Connection[Any], result: PGresult) -> psycopg.Error:
    """The driver tells kinds apart by SQLSTATE, which a lost connection has none of."""
    error = error_from_result(result)
    lost = error.sqlstate is None and source.pgconn.status == ConnStatus.BAD
    return psycopg.OperationalError(str(error)) if lost else error
