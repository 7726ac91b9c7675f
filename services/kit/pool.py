"""A pool of connections that can read; what primary and replica have in common. Nothing but services.kit.db uses it.

Rows become dataclasses by column name. SQL is literal text with parameters; there is no query builder. A pool opens in
the background: a service starts while its database is still away and says so in /readyz.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, LiteralString, Self, TypeVar

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

T = TypeVar("T")
Parameters = Mapping[str, Any] | Sequence[Any] | None

# Ten connections are more than one event loop keeps busy; waiting longer than five seconds helps no caller.
MAX_CONNECTIONS = 10
WAIT_S = 5.0
# The pool's pauses between attempts double up to this; a server that is back must not be waited for much longer.
_RECONNECT_S = 5.0
SESSION = "-c timezone=UTC -c statement_timeout=10000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=30000"
READ_ONLY = f"{SESSION} -c default_transaction_read_only=on"


async def run(
    connection: AsyncConnection[Any], row: type[T], query: LiteralString, values: Parameters
) -> AsyncCursor[T]:
    cursor = connection.cursor(row_factory=class_row(row))
    await cursor.execute(query, values)
    return cursor


class Pool:
    """Reading. Each call is one statement in a transaction of its own."""

    def __init__(self, dsn: str, name: str, session: str, *, kind: str, min_size: int = 1) -> None:
        self.kind = kind
        self._pool = AsyncConnectionPool(
            dsn,
            kwargs={"autocommit": True, "options": session, "application_name": name},
            min_size=min_size,
            max_size=MAX_CONNECTIONS,
            timeout=WAIT_S,
            reconnect_timeout=_RECONNECT_S,
            # A connection that died with its server is replaced before a request gets it.
            check=AsyncConnectionPool.check_connection,
            open=False,
        )

    async def __aenter__(self) -> Self:
        await self._pool.open(wait=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    def connection(self, wait_s: float = WAIT_S) -> AbstractAsyncContextManager[AsyncConnection[Any]]:
        """A connection for the block. Raises psycopg.OperationalError when there is none within `wait_s`."""
        return self._pool.connection(wait_s)

    def statistics(self) -> dict[str, int]:
        """The pool's own counts: pool_size, pool_available, requests_waiting and more."""
        return self._pool.get_stats()

    async def answers(self) -> None:
        """Return when the server answers; raise psycopg.OperationalError when it does not."""
        async with self.connection(1.0) as connection:
            await connection.execute("SELECT 1")

    async def one(self, row: type[T], query: LiteralString, values: Parameters = None) -> T | None:
        """The first row, or None."""
        async with self.connection() as connection:
            return await (await run(connection, row, query, values)).fetchone()

    async def all(self, row: type[T], query: LiteralString, values: Parameters = None) -> list[T]:
        async with self.connection() as connection:
            return await (await run(connection, row, query, values)).fetchall()
