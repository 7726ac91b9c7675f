"""Connection pools as types: `Primary` writes, `Replica` only reads; the type checker refuses a misplaced write.

Rows become dataclasses by column name. SQL is literal text with parameters; there is no query builder. A pool opens in
the background: a service starts while its database is still away and says so in /readyz.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, LiteralString, Self, TypeVar

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

T = TypeVar("T")
Parameters = Mapping[str, Any] | Sequence[Any] | None

# Ten connections are more than one event loop keeps busy; waiting longer than five seconds helps no caller.
MAX_CONNECTIONS = 10
WAIT_S = 5.0
_SESSION = (
    "-c timezone=UTC -c statement_timeout=10000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=30000"
)


async def _run(
    connection: AsyncConnection[Any], row: type[T], query: LiteralString, values: Parameters
) -> AsyncCursor[T]:
    cursor = connection.cursor(row_factory=class_row(row))
    await cursor.execute(query, values)
    return cursor


class _Pool:
    """Reading, which both kinds can do. Each call is one statement in a transaction of its own."""

    def __init__(self, dsn: str, name: str, session: str) -> None:
        self._pool = AsyncConnectionPool(
            dsn,
            kwargs={"autocommit": True, "options": session, "application_name": name},
            min_size=1,
            max_size=MAX_CONNECTIONS,
            timeout=WAIT_S,
            # A connection that died with its server is replaced before a request gets it.
            check=AsyncConnectionPool.check_connection,
            open=False,
        )

    async def __aenter__(self) -> Self:
        await self._pool.open(wait=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    async def answers(self) -> None:
        """Return when the server answers; raise psycopg.OperationalError when it does not."""
        async with self._pool.connection(timeout=1.0) as connection:
            await connection.execute("SELECT 1")

    async def one(self, row: type[T], query: LiteralString, values: Parameters = None) -> T | None:
        """The first row, or None."""
        async with self._pool.connection() as connection:
            return await (await _run(connection, row, query, values)).fetchone()

    async def all(self, row: type[T], query: LiteralString, values: Parameters = None) -> list[T]:
        async with self._pool.connection() as connection:
            return await (await _run(connection, row, query, values)).fetchall()


class Replica(_Pool):
    """A server that may be behind: for lists and reports, never for a decision. Its sessions are read-only."""

    def __init__(self, dsn: str, name: str) -> None:
        super().__init__(dsn, name, f"{_SESSION} -c default_transaction_read_only=on")


class Transaction:
    """Several statements of one effect. Statements are pipelined: they travel together until a result is fetched."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection

    async def send(self, row: type[T], query: LiteralString, values: Parameters = None) -> AsyncCursor[T]:
        """Queue a statement whose rows are fetched from the cursor later."""
        return await _run(self._connection, row, query, values)

    async def execute(self, query: LiteralString, values: Parameters = None) -> None:
        """Queue a statement without a result; its error appears at the next fetch or at the commit."""
        await self._connection.execute(query, values)

    async def one(self, row: type[T], query: LiteralString, values: Parameters = None) -> T | None:
        return await (await self.send(row, query, values)).fetchone()

    async def all(self, row: type[T], query: LiteralString, values: Parameters = None) -> list[T]:
        return await (await self.send(row, query, values)).fetchall()


class Primary(_Pool):
    """The server that takes writes and shows every committed one."""

    def __init__(self, dsn: str, name: str) -> None:
        super().__init__(dsn, name, _SESSION)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commits when the block ends, rolls back when it raises."""
        async with self._pool.connection() as connection, connection.pipeline(), connection.transaction():
            yield Transaction(connection)


@dataclass(frozen=True, slots=True)
class Database:
    """The two faces of a service's database."""

    primary: Primary
    replica: Replica


@asynccontextmanager
async def connect(name: str, dsn: str, replica_dsn: str | None) -> AsyncIterator[Database]:
    """Pools for `dsn` and its replica; without a replica the reads go to the primary, still read-only."""
    async with AsyncExitStack() as pools:
        primary = await pools.enter_async_context(Primary(dsn, name))
        replica = await pools.enter_async_context(Replica(replica_dsn or dsn, name))
        yield Database(primary, replica)
