"""The sessions of a backfill's threads, one pair each, opened when a thread first asks."""

import threading
from types import TracebackType
from typing import Any, Self

import psycopg

from cdc import source_database
from cdc.source_file import SourceFile

Pair = tuple[psycopg.Connection[Any], psycopg.Connection[Any]]


class Sessions:
    """A session on the source and one on the engine's state for each thread that asks; all end with the block."""

    def __init__(self, file: SourceFile, state_dsn: str) -> None:
        self._file, self._state_dsn = file, state_dsn
        self._own = threading.local()
        self._opened: list[psycopg.Connection[Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for connection in self._opened:
            connection.close()

    def mine(self) -> Pair:
        """The calling thread's (source, state)."""
        if not hasattr(self._own, "pair"):
            source = source_database.connect(self._file)
            self._opened.append(source)
            state = psycopg.connect(self._state_dsn, autocommit=True, connect_timeout=10)
            self._opened.append(state)
            self._own.pair = source, state
        pair: Pair = self._own.pair
        return pair

    def drop_mine(self) -> None:
        """End the calling thread's sessions; `mine` opens new ones."""
        if hasattr(self._own, "pair"):
            for connection in self._own.pair:
                connection.close()
            del self._own.pair
