"""Where a source's snapshots stand: when the transactions of change events are visible, and the order of a snapshot then."""

import threading
from collections.abc import Collection
from typing import Any

import psycopg

from cdc import source_database
from cdc.errors import PermanentError, TransientError
from cdc.source_file import SourceFile
from cdc.state import SourceState

ORDER = """
SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint * 65536 + 65535
       - least(65535, (SELECT count(*) FROM pg_snapshot_xip(pg_current_snapshot())))
"""
"""The number that a cache gives to the values it reads: it never falls from a snapshot of the primary to a later one."""

_TIMEOUT = 30.0


class Orders:
    """A session on the source's primary; after a failure the next call opens another."""

    def __init__(self, file: SourceFile, known: SourceState) -> None:
        self._file, self._known = file, known
        self._connection: psycopg.Connection[Any] | None = None
        self._pause = threading.Event()

    def close(self) -> None:
        """End the session."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def after(self, transactions: Collection[int]) -> int:
        """The order of a snapshot that sees every one of the transactions (numbers as in change events).

        Raises:
            TransientError: the source does not answer, or a commit stays invisible (it waits for a synchronous replica).
            PermanentError: it is another database than the one applied.
        """
        try:
            connection = self._open()
            delay, waited = 0.001, 0.0
            while transactions and not self._visible(connection, transactions):
                if waited > _TIMEOUT:
                    raise TransientError(
                        f"source {self._file.source}: committed transactions are not visible after {_TIMEOUT:.0f} s"
                    )
                self._pause.wait(delay)
                waited, delay = waited + delay, min(delay * 2, 0.05)
            [(order,)] = connection.execute(ORDER).fetchall()
        except psycopg.Error as error:
            self.close()
            raise TransientError(
                f"source {self._file.source} cannot be asked: {' '.join(str(error).split())}"
            ) from error
        return int(order)

    def _visible(self, connection: psycopg.Connection[Any], transactions: Collection[int]) -> bool:
        [(visible,)] = connection.execute(source_database.VISIBLE, [list(transactions)], prepare=True).fetchall()
        return bool(visible)

    def _open(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            connection = source_database.connect(self._file)
            if source_database.identity(connection) != (self._known.system_identifier, self._known.timeline):
                connection.close()
                raise PermanentError(
                    f"source {self._file.source} is another database than the one applied (restored or failed over):"
                    " the keeper raises its epoch; `millrace cdc epoch` shows it"
                )
            self._connection = connection
        return self._connection
