"""Reading documents from the source so that no reading can overwrite a later one.

A reading is worth writing only in this order: the transactions of the events that asked for it are visible; then a
message of our own is committed, whose position in the log is the version; then one statement (one snapshot) reads the
trees; then the log is flushed beyond everything that this snapshot may have seen. Of two readings of one root the one
with the higher version therefore saw every change that the other was asked for, whichever process did either, so the
target may keep the higher and drop the other. A row can be visible before it is durable: without the last step a
document could show what a crash of the source takes back.
"""

import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import psycopg

from cdc import source_database
from cdc.documents import sql
from cdc.documents.folding import folded
from cdc.documents.trees import Node, Tree
from cdc.errors import PermanentError, TransientError
from cdc.source_file import SourceFile
from cdc.state import SourceState
from cdc.version import parse_lsn

Key = tuple[str, ...]

EPOCH_SHIFT = 56
VISIBILITY_TIMEOUT = 30.0  # seconds; a commit that waits for a synchronous replica may take that long
ROOTS_AT_ONCE = 5000  # keys fetched at once from a search for roots: bounds memory when one row has many

_MESSAGE = "SELECT pg_logical_emit_message(true, 'millrace.documents', '')::text"
_FLUSHED = "SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()"


@dataclass(frozen=True)
class Reading:
    """Documents as of one snapshot: (id, JSON text, or None where there is no such root), all of one version."""

    version: int
    bodies: list[tuple[str, str | None]]


def document_id(key: Key) -> str:
    """The id of a root's document: the key as text; of several columns, a JSON array of their texts."""
    return key[0] if len(key) == 1 else orjson.dumps(key).decode()


def root_key(identifier: str, columns: int) -> Key:
    """The inverse of `document_id`, for a key of so many columns."""
    return (identifier,) if columns == 1 else tuple(orjson.loads(identifier))


def _documents(tree: Tree, rows: Sequence[Any]) -> Iterator[tuple[str, str | None]]:
    folds = tree.folds
    for *key, body in rows:
        yield document_id(tuple(key)), folded(body) if folds and body is not None else body


class Reader:
    """One session on the source's primary; not for two threads at once. Every failure to reach the source is a
    `TransientError`, after which the next call opens a new session."""

    def __init__(self, file: SourceFile, source: SourceState) -> None:
        self._file = file
        self._source = source
        self._connection: psycopg.Connection[Any] | None = None
        self._pause = threading.Event()

    def close(self) -> None:
        """End the session."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def wait_until_visible(self, transactions: Collection[int], timeout: float = VISIBILITY_TIMEOUT) -> None:
        """Return once every transaction (numbers as in change events) is visible to a new snapshot.

        Raises:
            TransientError: not within the timeout (seconds).
        """
        delay, waited = 0.001, 0.0
        while not self._ask(source_database.VISIBLE, [list(transactions)])[0][0]:
            if waited > timeout:
                raise TransientError(
                    f"source {self._source.source}: committed transactions are not visible after {timeout:.0f} s;"
                    " is a synchronous replica down?"
                )
            self._pause.wait(delay)
            waited, delay = waited + delay, min(delay * 2, 0.05)

    def read(self, tree: Tree, keys: Collection[Key]) -> Reading:
        """The documents of these roots, with a version no other reading has."""
        version = self._source.epoch << EPOCH_SHIFT | parse_lsn(self._ask(_MESSAGE)[0][0])
        rows = self._ask(sql.read_bodies(tree), [list(column) for column in zip(*keys, strict=True)])
        if not self._ask(_FLUSHED)[0][0]:
            self._ask(_MESSAGE)  # its commit flushes the log beyond all that the snapshot could see
        return Reading(version, list(_documents(tree, rows)))

    def peek(self, tree: Tree, keys: Collection[Key]) -> dict[str, str | None]:
        """The documents as they are now, for comparison only: no version, no promise of durability."""
        rows = self._ask(sql.read_bodies(tree), [list(column) for column in zip(*keys, strict=True)])
        return dict(_documents(tree, rows))

    def existing(self, tree: Tree, keys: Collection[Key]) -> set[Key]:
        """Those of the keys that have a row in the root table."""
        return set(self._ask(sql.existing_keys(tree), [list(column) for column in zip(*keys, strict=True)]))

    def roots(self, path: Sequence[Node], values: Collection[Key]) -> Iterator[list[Key]]:
        """Keys of the roots above rows of the path's last node with these linking values, some thousand at a time."""
        parameters = [list(column) for column in zip(*values, strict=True)]
        try:
            with self._open().transaction(), self._open().cursor("roots") as cursor:
                cursor.execute(sql.roots_of(path), parameters)
                while rows := cursor.fetchmany(ROOTS_AT_ONCE):
                    yield rows
        except psycopg.Error as error:
            raise self._failure(error) from error

    def keys(self, tree: Tree, limit: int) -> Iterator[list[Key]]:
        """All keys of the root table in their order, `limit` at a time, each lot in a snapshot of its own."""
        rows = self._ask(sql.first_keys(tree), [limit])
        while rows:
            yield rows
            rows = self._ask(sql.list_keys(tree), [*rows[-1], limit])

    def position(self) -> int:
        """Where the source's log is being written now, in bytes."""
        return source_database.insert_lsn(self._open())

    def _ask(self, query: Any, parameters: Sequence[Any] | None = None) -> list[Any]:
        try:
            return self._open().execute(query, parameters, prepare=True).fetchall()
        except psycopg.Error as error:
            raise self._failure(error) from error

    def _open(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            connection = source_database.connect(self._file)
            connection.execute("SET jit = off")  # compiling takes longer than reading some hundred documents
            if source_database.identity(connection) != (self._source.system_identifier, self._source.timeline):
                connection.close()
                raise PermanentError(
                    f"source {self._source.source} is another database than the one applied (restored or failed over):"
                    " the keeper raises its epoch and mends the copies; `millrace cdc epoch` shows it"
                )
            self._connection = connection
        return self._connection

    def _failure(self, error: psycopg.Error) -> TransientError | PermanentError:
        self.close()
        reason = (str(error).splitlines() or ["connection lost"])[0]
        if isinstance(error, psycopg.OperationalError):
            return TransientError(f"source {self._source.source} cannot be read: {reason}")
        return PermanentError(
            f"source {self._source.source} gives no documents ({reason}); did its tables change? `millrace cdc plan`"
        )
