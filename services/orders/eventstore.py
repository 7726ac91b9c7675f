"""The streams of orders: append-only, one writer at a time by the key (stream, version), read through snapshots.

Two writers that read the same version cannot both append: the second one's key is taken and it gets VersionConflict.
Refuses to change or remove an event; so does the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from services.kit.db import Transaction
from services.kit.problem import Conflict, constraints
from services.orders import stream
from services.orders.order import Order, Recorded, evolve
from services.orders.stream import Event

SNAPSHOT_EVERY = 50
SHAPE = 1
"""Of the state in a snapshot; raise it when `Order` changes, and older snapshots are passed over."""

_STATE = TypeAdapter(Order)
_SNAPSHOT = "snapshot"


class VersionConflict(Conflict):
    slug = "order-changed"


@dataclass(frozen=True, slots=True)
class StoredEvent:
    version: int
    type: str
    data: dict[str, Any]
    recorded_at: datetime

    def recorded(self, stream_id: UUID) -> Recorded:
        return Recorded(stream_id, self.version, stream.read(self.type, self.data), self.recorded_at)


@dataclass(frozen=True, slots=True)
class _Written:
    version: int
    recorded_at: datetime


class EventStore:
    """Works within the caller's transaction, which also holds what follows from the events."""

    def __init__(self, snapshot_every: int = SNAPSHOT_EVERY) -> None:
        self._snapshot_every = snapshot_every

    async def load(self, transaction: Transaction, stream_id: UUID) -> Order | None:
        """The order as its events say, None when there are none."""
        stored = await transaction.all(
            StoredEvent,
            """WITH snapshot AS MATERIALIZED (
                   SELECT version, state FROM service.order_snapshots WHERE stream_id = %(id)s AND shape = %(shape)s)
               SELECT version, %(snapshot)s AS type, state AS data, now() AS recorded_at FROM snapshot
               UNION ALL
               SELECT version, type, data, recorded_at FROM service.order_events
               WHERE stream_id = %(id)s AND version > coalesce((SELECT version FROM snapshot), 0)
               ORDER BY version""",
            {"id": stream_id, "shape": SHAPE, "snapshot": _SNAPSHOT},
        )
        order: Order | None = None
        for row in stored:
            order = (
                _STATE.validate_python(row.data) if row.type == _SNAPSHOT else evolve(order, row.recorded(stream_id))
            )
        return order

    async def append(
        self, transaction: Transaction, stream_id: UUID, order: Order | None, new: Sequence[Event], meta: dict[str, Any]
    ) -> Order:
        """Append after what `order` was read from; the order after that. Raises VersionConflict."""
        expected = 0 if order is None else order.version
        rows = [
            {"version": version, "type": stored, "data": data}
            for version, (stored, data) in enumerate(map(stream.write, new), start=expected + 1)
        ]
        with constraints(
            {"order_events_pkey": VersionConflict(f"order {stream_id} was changed meanwhile; read it again")}
        ):
            written = await transaction.all(
                _Written,
                """INSERT INTO service.order_events (stream_id, version, type, data, meta)
                   SELECT %(id)s, version, type, data, %(meta)s
                   FROM jsonb_to_recordset(%(rows)s) AS given(version bigint, type text, data jsonb)
                   RETURNING version, recorded_at""",
                {"id": stream_id, "meta": Jsonb(meta), "rows": Jsonb(rows)},
            )
        times = {row.version: row.recorded_at for row in written}
        for version, event in enumerate(new, start=expected + 1):
            order = evolve(order, Recorded(stream_id, version, event, times[version]))
        if order is None:
            raise ValueError("nothing was appended to an empty stream")
        if order.version // self._snapshot_every > expected // self._snapshot_every:
            await self._snapshot(transaction, order)
        return order

    async def _snapshot(self, transaction: Transaction, order: Order) -> None:
        await transaction.execute(
            """INSERT INTO service.order_snapshots (stream_id, version, shape, state) VALUES (%s, %s, %s, %s)
               ON CONFLICT (stream_id) DO UPDATE
               SET version = excluded.version, shape = excluded.shape, state = excluded.state
               WHERE (order_snapshots.shape, order_snapshots.version) < (excluded.shape, excluded.version)""",
            [order.id, order.version, SHAPE, Jsonb(_STATE.dump_python(order, mode="json"))],
        )
