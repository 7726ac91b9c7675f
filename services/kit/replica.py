"""The server that may be behind, and when it is not asked.

A read goes to the primary instead, still in a read-only session, when
    the caller's own writes (X-Commit-LSN) have not arrived here within WAIT_FOR_WRITES_S,
    the replica is more than MAX_LAG_S behind, or
    it does not answer.
When the primary is away too, a read without writes to wait for takes what a lagging replica has.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, LiteralString, Self, TypeVar

import psycopg
from psycopg import AsyncConnection, AsyncCursor

from services.kit import metrics
from services.kit.pool import READ_ONLY, WAIT_S, Parameters, Pool, run
from services.kit.position import Positions

T = TypeVar("T")
R = TypeVar("R")

WAIT_FOR_WRITES_S = 0.05
MAX_LAG_S = 5.0
# How long one look at the replica's lag, or a failure to reach it, holds for the reads that follow.
_LOOK_AGAIN_S = 1.0
# A server that has no connection for us within this time is passed over, when there is another.
_CONNECTION_WAIT_S = 0.5
_FIRST_PAUSE_S = 0.0005


@dataclass(frozen=True, slots=True)
class _Lag:
    caught_up: bool
    seconds: float | None


# An idle primary writes no commits, so the age of the last replayed one only counts while received log waits for replay
# or nothing is being received. An ordinary role sees that a receiver runs, not what it does.
_LAG: LiteralString = """
SELECT NOT pg_is_in_recovery()
       OR coalesce(pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn(), false)
          AND EXISTS (SELECT FROM pg_stat_wal_receiver) AS caught_up,
       extract(epoch FROM now() - pg_last_xact_replay_timestamp())::float8 AS seconds"""

_REACHED = """
SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= '0/0'::pg_lsn + %s::numeric AS reached"""


class Replica:
    """For lists and reports, never for a decision. Its sessions are read-only, wherever a read ends up."""

    def __init__(self, dsn: str, primary_dsn: str, name: str) -> None:
        self._replica = Pool(dsn, name, READ_ONLY, kind="replica")
        self._primary = Pool(primary_dsn, name, READ_ONLY, kind="primary-read-only", min_size=0)
        self._positions = Positions(primary_dsn)
        self._pools = AsyncExitStack()
        self._look_at = -math.inf
        self._caught_up_at = -math.inf
        self._away = False
        self.lag_s = 0.0

    async def __aenter__(self) -> Self:
        for pool in (self._replica, self._primary):
            metrics.watch(await self._pools.enter_async_context(pool))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pools.aclose()

    async def one(self, row: type[T], query: LiteralString, values: Parameters = None) -> T | None:
        """The first row, or None."""
        return await self._read(row, query, values, lambda cursor: cursor.fetchone())

    async def all(self, row: type[T], query: LiteralString, values: Parameters = None) -> list[T]:
        return await self._read(row, query, values, lambda cursor: cursor.fetchall())

    async def standing(self) -> str | None:
        """For /readyz: None when the replica is used, else why reads go to the primary. Never a failure."""
        try:
            async with self._replica.connection(_CONNECTION_WAIT_S) as connection:
                await self._measure(connection)
        except psycopg.OperationalError:
            return "does not answer; reads go to the primary"
        return f"{self.lag_s:.0f} s behind; reads go to the primary" if self.lag_s > MAX_LAG_S else None

    def check_position(self) -> None:
        """Raises InvalidPosition for a token that is not this service's; for a list that is read from the primary."""
        self._positions.required()

    async def _read(
        self,
        row: type[T],
        query: LiteralString,
        values: Parameters,
        fetch: Callable[[AsyncCursor[T]], Awaitable[R]],
    ) -> R:
        required = self._positions.required()
        why = "away"
        if not self._passed_over():
            try:
                async with self._replica.connection(_CONNECTION_WAIT_S) as connection:
                    why = await self._unfit(connection, required)
                    if not why:
                        metrics.REPLICA_READS.labels("replica").inc()
                        return await fetch(await run(connection, row, query, values))
            except psycopg.OperationalError as error:
                if isinstance(error, psycopg.errors.QueryCanceled):
                    raise
                self._away, self._look_at = True, time.monotonic() + _LOOK_AGAIN_S
        elif not self._away:
            why = "lag"
        metrics.REPLICA_READS.labels(why).inc()
        old_is_better_than_nothing = why == "lag" and required is None
        try:
            async with self._primary.connection(
                _CONNECTION_WAIT_S if old_is_better_than_nothing else WAIT_S
            ) as connection:
                return await fetch(await run(connection, row, query, values))
        except psycopg.OperationalError:
            if not old_is_better_than_nothing:
                raise
            async with self._replica.connection(_CONNECTION_WAIT_S) as connection:
                return await fetch(await run(connection, row, query, values))

    def _passed_over(self) -> bool:
        """Whether the last look, still valid, found it away or too far behind."""
        return time.monotonic() < self._look_at and (self._away or self.lag_s > MAX_LAG_S)

    async def _unfit(self, connection: AsyncConnection[Any], required: int | None) -> str:
        """Why this read must not be made here, or nothing. Waits for the caller's own writes."""
        if time.monotonic() >= self._look_at:
            await self._measure(connection)
        if self.lag_s > MAX_LAG_S:
            return "lag"
        return "" if required is None or await _reached(connection, required) else "writes"

    async def _measure(self, connection: AsyncConnection[Any]) -> None:
        now = time.monotonic()
        self._away, self._look_at = False, now + _LOOK_AGAIN_S
        lag = await (await run(connection, _Lag, _LAG, None)).fetchone()
        if lag is None or lag.caught_up:
            self._caught_up_at, self.lag_s = now, 0.0
        else:
            self.lag_s = min(math.inf if lag.seconds is None else lag.seconds, now - self._caught_up_at)
        metrics.REPLICA_LAG.set(self.lag_s)


async def _reached(connection: AsyncConnection[Any], lsn: int) -> bool:
    """Whether the server has replayed `lsn` within WAIT_FOR_WRITES_S. Asks again and again: replay tells nobody."""
    deadline = time.monotonic() + WAIT_FOR_WRITES_S
    pause = _FIRST_PAUSE_S
    while True:
        answer = await (await connection.execute(_REACHED, [lsn])).fetchone()
        if answer is not None and answer[0]:
            return True
        if time.monotonic() + pause > deadline:
            return False
        await asyncio.sleep(pause)
        pause *= 2
