"""The SQL of orders. Changes go through the order's events, with the tables written in the same transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from services.kit import log, outbox
from services.kit.db import Primary, Replica
from services.kit.idempotency import InFlight, Key, Once
from services.orders import projection
from services.orders.events import told
from services.orders.eventstore import EventStore, VersionConflict
from services.orders.order import Command, Order, decide
from services.orders.stream import StockReserved

_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class OrderRow:
    id: UUID
    user_id: UUID
    status: str
    failure: str | None
    currency: str
    subtotal: Decimal
    discount: Decimal
    tax: Decimal
    shipping: Decimal
    total: Decimal
    placed_at: datetime
    updated_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class ItemRow:
    order_id: UUID
    line: int
    product_id: UUID
    sku: str
    product_name: str
    quantity: int
    unit_price: Decimal
    line_total: Decimal
    created_at: datetime


@dataclass(frozen=True, slots=True)
class _Id:
    id: UUID


async def execute(
    primary: Primary, store: EventStore, order_id: UUID, command: Command, key: Key | None = None
) -> Order:
    """Carry the command out on the order as it is now; the order after it. Raises the problem that forbids it.

    Another writer that comes between makes it read and decide again. A new order takes its `key` with it.
    """
    for _ in range(_ROUNDS - 1):
        try:
            return await _execute(primary, store, order_id, command, key)
        except VersionConflict:
            continue
    return await _execute(primary, store, order_id, command, key)


async def _execute(primary: Primary, store: EventStore, order_id: UUID, command: Command, key: Key | None) -> Order:
    async with primary.transaction() as transaction:
        order = await store.load(transaction, order_id)
        if order is None and await Once(key, primary).claim(transaction) is not None:
            raise InFlight("another request with this Idempotency-Key came first; repeat it for its reply")
        new = decide(order, command)
        if order is not None and not new:
            return order
        after = await store.append(transaction, order_id, order, new, {"request_id": log.request_id.get()})
        lines_changed = any(isinstance(event, StockReserved) for event in new)
        await projection.write(transaction, after, lines_changed=lines_changed)
        await outbox.tell(transaction, *told(order, new, after))
    return after


async def read(primary: Primary, store: EventStore, order_id: UUID) -> Order | None:
    """The order as its events say."""
    async with primary.transaction() as transaction:
        return await store.load(transaction, order_id)


async def unfinished_without_saga(primary: Primary) -> list[UUID]:
    """PENDING orders from before there were sagas: nobody else finishes them."""
    rows = await primary.all(
        _Id,
        """SELECT id FROM orders JOIN service.order_events ON stream_id = id AND order_events.version = 1
           WHERE status = 'PENDING' AND meta ->> 'source' = 'migration' ORDER BY id""",
    )
    return [row.id for row in rows]


async def find(primary: Primary, order_id: UUID) -> OrderRow | None:
    return await primary.one(OrderRow, "SELECT * FROM orders WHERE id = %s", [order_id])


async def items(source: Primary | Replica, order_ids: Sequence[UUID]) -> list[ItemRow]:
    """The lines of the orders, by order and line."""
    return await source.all(
        ItemRow, "SELECT * FROM order_items WHERE order_id = ANY(%s) ORDER BY order_id, line", [list(order_ids)]
    )


async def list_after(replica: Replica, user_id: UUID | None, after: UUID, limit: int) -> list[OrderRow]:
    """Orders of the user (of all, when it is None) by id."""
    if user_id is None:
        return await replica.all(OrderRow, "SELECT * FROM orders WHERE id > %s ORDER BY id LIMIT %s", [after, limit])
    return await replica.all(
        OrderRow,
        "SELECT * FROM orders WHERE user_id = %s AND id > %s ORDER BY id LIMIT %s",
        [user_id, after, limit],
    )
