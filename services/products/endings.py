"""How holds end: committed, released, or expired by the sweeper. Each is one statement and can be repeated.

The hold's row is locked first, then the stock rows in the order of their ids, and only then anything is changed: a
reserve of the same order, which has its stock row first, finds the hold unchanged and gives way. Refuses to commit what
is no longer held. A hold whose time is over is still held until the sweeper has ended it: its pieces are still there.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, LiteralString
from uuid import UUID

from services.kit import outbox
from services.kit.db import Primary
from services.products import reservations
from services.products.events import (
    ReservationCommitted,
    ReservationEvent,
    ReservationExpired,
    ReservationReleased,
    ReservedLine,
)
from services.products.reservations import ReservationClosed

SWEEP_EVERY = timedelta(seconds=5)
_SWEEP_ROWS = 5000

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Ended:
    """`before` is the hold's state until now, `lines` are those of `service.holds`."""

    order_id: UUID
    before: str
    lines: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Closed:
    order_id: UUID


_OF_ORDER: LiteralString = """
    WITH hold AS MATERIALIZED (
        SELECT order_id, state FROM service.holds
        WHERE order_id = %(order_id)s AND state = ANY(%(ends)s) FOR UPDATE),"""

# Another process that sweeps takes another hold; one that is being committed or released is left alone.
_DUE: LiteralString = """
    WITH hold AS MATERIALIZED (
        SELECT order_id, state FROM service.holds WHERE state = 'held' AND expires_at <= now()
        ORDER BY expires_at LIMIT 1 FOR UPDATE SKIP LOCKED),"""

_END: LiteralString = """
    lines AS MATERIALIZED (
        SELECT order_id, product_id, quantity, hold.state AS before,
            CASE hold.state WHEN 'held' THEN %(state)s ELSE 'returned' END AS kind
        FROM reservations JOIN hold USING (order_id)),
    locked AS MATERIALIZED (
        SELECT product_id FROM stock WHERE product_id IN (SELECT product_id FROM lines)
        ORDER BY product_id FOR NO KEY UPDATE),
    ended AS (
        UPDATE service.holds SET state = %(state)s, updated_at = now() FROM hold
        WHERE holds.order_id = hold.order_id AND (SELECT count(*) FROM locked) >= 0
        RETURNING holds.order_id, hold.state AS before, holds.lines),
    marked AS (
        UPDATE reservations SET state = %(state)s, updated_at = now() FROM ended
        WHERE reservations.order_id = ended.order_id),
    counted AS (
        UPDATE stock SET
            available = available + CASE kind WHEN 'committed' THEN 0 ELSE quantity END,
            reserved = reserved - CASE before WHEN 'held' THEN quantity ELSE 0 END,
            sold = sold + CASE WHEN kind = 'committed' THEN quantity WHEN before = 'committed' THEN -quantity ELSE 0 END,
            updated_at = now()
        FROM lines WHERE stock.product_id = lines.product_id AND (SELECT count(*) FROM locked) >= 0),
    moved AS (
        INSERT INTO stock_movements (product_id, kind, quantity, order_id)
        SELECT product_id, kind, quantity, order_id FROM lines)
    SELECT order_id, before, lines FROM ended"""

_TOMBSTONE: LiteralString = """
    INSERT INTO service.holds (order_id, state, lines, expires_at) VALUES (%s, 'released', '[]', now())
    ON CONFLICT (order_id) DO NOTHING RETURNING order_id"""


async def commit(primary: Primary, order_id: UUID) -> None:
    """The held pieces are sold. Raises ReservationClosed when they are no longer held, or never were."""
    if await _end(primary, _OF_ORDER + _END, {"order_id": order_id, "ends": ["held"], "state": "committed"}):
        return
    hold = await reservations.find(primary, order_id)
    if hold is None or hold.state != "committed":
        state = "was never made" if hold is None else f"is {hold.state}"
        raise ReservationClosed(f"the reservation of order {order_id} {state}; nothing was sold")


async def release(primary: Primary, order_id: UUID) -> None:
    """Held and sold pieces are available again; an order without a hold can have none from now on."""
    values = {"order_id": order_id, "ends": ["held", "committed"], "state": "released"}
    while not await _end(primary, _OF_ORDER + _END, values):
        if await primary.one(_Closed, _TOMBSTONE, [order_id]):
            return
        hold = await reservations.find(primary, order_id)
        if hold is not None and hold.state in {"released", "expired"}:
            return
        # A reserve came in between: it is released now.


async def expire(primary: Primary) -> int:
    """End every hold whose time is over; how many. Any number of processes may do so at once."""
    expired = 0
    while await _end(primary, _DUE + _END, {"state": "expired"}):
        expired += 1
    return expired


async def _end(primary: Primary, statement: LiteralString, values: dict[str, Any]) -> bool:
    """Whether there was a hold to end; that it ended is told."""
    async with primary.transaction() as transaction:
        ended = await transaction.one(_Ended, statement, values)
        if ended is not None:
            await outbox.tell(transaction, _told(ended, values["state"]))
    return ended is not None


def _told(ended: _Ended, state: str) -> ReservationEvent:
    lines = tuple(ReservedLine(product_id=line["product_id"], quantity=line["quantity"]) for line in ended.lines)
    if state == "released":
        return ReservationReleased(order_id=ended.order_id, lines=lines, sold=ended.before == "committed")
    kind = ReservationCommitted if state == "committed" else ReservationExpired
    return kind(order_id=ended.order_id, lines=lines)


async def sweep_tombstones(primary: Primary, kept: timedelta) -> int:
    """Forget orders that were released longer ago than that without ever having held anything, some thousands at most; how
    many. No reserve is under way for so long."""
    swept = await primary.all(
        _Closed,
        """DELETE FROM service.holds WHERE order_id IN (
               SELECT order_id FROM service.holds
               WHERE state = 'released' AND lines = '[]' AND created_at < now() - %s
               ORDER BY created_at LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING order_id""",
        [kept, _SWEEP_ROWS],
    )
    return len(swept)


async def keep_expiring(primary: Primary, every: timedelta = SWEEP_EVERY) -> None:
    """Expire again and again until cancelled."""
    while True:
        try:
            if expired := await expire(primary):
                logger.warning("%d holds expired", expired)
        except Exception:
            logger.exception("expired holds could not be looked for")
        await asyncio.sleep(every.total_seconds())
