"""Questions to ClickHouse from an event loop: a bounded number at once, in threads, failing as problems.

The user's own profile holds the limits (time, rows, memory, read-only); here they get their names.
"""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

from services.kit.problem import ProblemError, Unavailable, Unexpected, Unprocessable

AT_ONCE = 4
_NOT_THERE = (60, 81)  # UNKNOWN_TABLE, UNKNOWN_DATABASE
_TOO_MUCH = (158, 159, 241, 396)  # TOO_MANY_ROWS, TIMEOUT_EXCEEDED, MEMORY_LIMIT_EXCEEDED, TOO_MANY_ROWS_OR_BYTES


class NotBuilt(Unavailable):
    slug = "mart-not-built"


class TooMuch(Unprocessable):
    slug = "too-much-to-read"


MARTS = "analytics"


def connect(url: str, user: str, password: str, database: str = "default") -> Client:
    """A client that threads may share. Raises ClickHouseError when ClickHouse does not answer."""
    parts = urlsplit(url)
    return clickhouse_connect.get_client(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or 8123,
        secure=parts.scheme == "https",
        username=user,
        password=password,
        database=database,
        autogenerate_session_id=False,
        connect_timeout=2,
        send_receive_timeout=15,
        query_retries=1,
    )


class Warehouse:
    """Reads. Connects at the first question, so that a service starts while ClickHouse is away."""

    def __init__(self, url: str, user: str, password: str, database: str = MARTS) -> None:
        self._login = (url, user, password, database)
        self._client: Client | None = None
        self._connecting = threading.Lock()
        self._gate = asyncio.Semaphore(AT_ONCE)

    def close(self) -> None:
        """Drop the connections."""
        if self._client is not None:
            self._client.close()

    async def answers(self) -> None:
        """Return when ClickHouse answers; raise ClickHouseError when it does not."""
        await asyncio.to_thread(self._rows, "SELECT 1", {})

    async def rows(self, query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a SELECT with {name:Type} parameters.

        Raises:
            NotBuilt: a table is not there yet.
            TooMuch: the answer would exceed what one question may read.
            Unavailable: ClickHouse is away or busy.
        """
        async with self._gate:
            try:
                return await asyncio.to_thread(self._rows, query, values)
            except ClickHouseError as error:
                raise _problem(error) from error

    def _rows(self, query: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        with self._connecting:
            if self._client is None:
                self._client = connect(*self._login)
        return [tuple(row) for row in self._client.query(query, parameters=dict(values)).result_rows]


def code(error: ClickHouseError) -> int | None:
    """ClickHouse's number of an error that it answered with."""
    known = getattr(error, "code", None)
    return known if isinstance(known, int) else None


def _problem(error: ClickHouseError) -> ProblemError:
    number = code(error)
    if number in _NOT_THERE:
        return NotBuilt("what this is read from has not been built yet; `python -m pipelines.run` builds the marts")
    if number in _TOO_MUCH:
        return TooMuch("this would read more than one question may; ask for a shorter range")
    if isinstance(error, DatabaseError) and number in {53, 62, 47, 43, 497}:  # our statement is wrong
        return Unexpected("the warehouse could not be asked; the service's log has the reason")
    return Unavailable("the warehouse does not answer now; try again")
