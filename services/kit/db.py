"""Connection pools as types: `Primary` writes, `Replica` only reads; the type checker refuses a misplaced write.

A committed write notes its place in the log for the caller (services/kit/position.py); a read from the replica waits for
the caller's own writes or goes to the primary (services/kit/replica.py).
"""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncCursor

from services.kit import metrics, position
from services.kit.health import Check, at_migrations_head
from services.kit.pool import MAX_CONNECTIONS, SESSION, Parameters, Pool, run
from services.kit.position import Positions
from services.kit.replica import Replica

__all__ = ["MAX_CONNECTIONS", "Database", "Parameters", "Primary", "Replica", "Transaction", "connect"]

T = TypeVar("T")

# The commit has flushed the log up to its own record (synchronous_commit is on); the insert position may lie beyond
# what will be sent to a replica soon.
_FLUSHED: LiteralString = "SELECT (pg_current_wal_flush_lsn() - '0/0'::pg_lsn)::bigint"


class Transaction:
    """Several statements of one effect. Statements are pipelined: they travel together until a result is fetched."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection

    async def send(self, row: type[T], query: LiteralString, values: Parameters = None) -> AsyncCursor[T]:
        """Queue a statement whose rows are fetched from the cursor later."""
        return await run(self._connection, row, query, values)

    async def execute(self, query: LiteralString, values: Parameters = None) -> None:
        """Queue a statement without a result; its error appears at the next fetch or at the commit."""
        await self._connection.execute(query, values)

    async def one(self, row: type[T], query: LiteralString, values: Parameters = None) -> T | None:
        return await (await self.send(row, query, values)).fetchone()

    async def all(self, row: type[T], query: LiteralString, values: Parameters = None) -> list[T]:
        return await (await self.send(row, query, values)).fetchall()


class Primary(Pool):
    """The server that takes writes and shows every committed one."""

    def __init__(self, dsn: str, name: str) -> None:
        super().__init__(dsn, name, SESSION, kind="primary")
        self._positions = Positions(dsn)

    async def one(self, row: type[T], query: LiteralString, values: Parameters = None) -> T | None:
        """The first row, or None."""
        async with self.connection() as connection:
            found = await (await run(connection, row, query, values)).fetchone()
            await self._note_position(connection)
            return found

    async def all(self, row: type[T], query: LiteralString, values: Parameters = None) -> list[T]:
        async with self.connection() as connection:
            found = await (await run(connection, row, query, values)).fetchall()
            await self._note_position(connection)
            return found

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commits when the block ends, rolls back when it raises."""
        async with self.connection() as connection:
            async with connection.pipeline(), connection.transaction():
                yield Transaction(connection)
            await self._note_position(connection)

    async def _note_position(self, connection: AsyncConnection[Any]) -> None:
        request = position.scope.get()
        if request is None or not request.writes:
            return
        try:
            answer = await (await connection.execute(_FLUSHED)).fetchone()
        except psycopg.OperationalError:
            # What was committed stays so; the caller only goes without a position.
            return
        if answer is not None:
            self._positions.wrote(answer[0])


@dataclass(frozen=True, slots=True)
class Database:
    """The two faces of a service's database."""

    name: str
    primary: Primary
    replica: Replica
    key: bytes = field(repr=False)
    """The service's own, the same in all its processes: for digests that nobody else should be able to try."""

    def checks(self) -> Mapping[str, Check]:
        """For /readyz: the primary answers and has the newest migrations; the replica is told, never required."""
        return {
            "database": self.primary.answers,
            "migrations": partial(at_migrations_head, self.name, self.primary),
            "replica": self.replica.standing,
        }


@asynccontextmanager
async def connect(name: str, dsn: str, replica_dsn: str | None) -> AsyncIterator[Database]:
    """Pools for `dsn` and its replica; without a replica the reads go to the primary, still read-only."""
    async with AsyncExitStack() as pools:
        primary = await pools.enter_async_context(Primary(dsn, name))
        replica = await pools.enter_async_context(Replica(replica_dsn or dsn, dsn, name))
        metrics.watch(primary)
        yield Database(name, primary, replica, hashlib.sha256(b"millrace digests\0" + dsn.encode()).digest())
