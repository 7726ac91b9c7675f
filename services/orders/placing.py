"""Placing an order: a table of steps and undo steps, run in this order.

    step                                     undo
    PENDING row                              FAILED with the reason
    reserve the stock                        release it
    record lines and totals                  (stays with the FAILED order)
    pay                                      void: refund what was captured
    commit the reservation                   release (restocks)
    CONFIRMED                                -

An undo is owed from before its step is tried, because a step whose answer was lost may have happened; undos do nothing
when there is nothing to undo. The error reaches the caller. When an undo itself fails, or this process dies, the order
stays PENDING and `recovery` finishes it; nobody else confirms it. Not a durable saga: nothing resumes forward.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

import psycopg

from services.kit.db import Primary
from services.kit.ids import uuid7
from services.kit.problem import Conflict, ProblemError, Unavailable
from services.orders import repository
from services.orders.partners import Partners
from services.orders.repository import OrderRow
from services.orders.schemas import NewOrder
from services.orders.totals import totals

# Until the products have told theirs; a FAILED order may keep it.
_CURRENCY = "EUR"
# All steps together. Recovery waits longer than this before it takes an order for abandoned.
DEADLINE_S = 30.0

logger = logging.getLogger(__name__)
Undo = Callable[[], Awaitable[None]]


class OrderTimeout(Unavailable):
    slug = "order-timeout"


class OrderGone(Conflict):
    slug = "order-not-pending"


async def place(primary: Primary, partners: Partners, new: NewOrder) -> OrderRow:
    """The CONFIRMED order, or the error that made it FAILED (or that kept it from being written at all)."""
    await asyncio.gather(partners.require_user(new.user_id), partners.require_products(list(new.wanted)))
    order_id = uuid7()
    await repository.insert_pending(primary, order_id, new.user_id, _CURRENCY)
    undos: list[Undo] = []
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await _steps(primary, partners, new, order_id, undos)
    except Exception as error:
        problem = _as_problem(error, order_id)
        await _undo(primary, order_id, undos, problem)
        if problem is error:
            raise
        raise problem from error


async def _steps(primary: Primary, partners: Partners, new: NewOrder, order_id: UUID, undos: list[Undo]) -> OrderRow:
    undos.append(lambda: partners.release(order_id))
    lines = await partners.reserve(order_id, new.wanted)
    sums = totals([(line.unit_price, line.quantity, line.currency) for line in lines])
    written = [
        {
            "product_id": line.product_id,
            "sku": line.sku,
            "name": line.name,
            "quantity": line.quantity,
            "unit_price": str(line.unit_price),
        }
        for line in lines
    ]
    if not await repository.record_lines(primary, order_id, written, sums):
        raise OrderGone(f"order {order_id} was given up meanwhile; place a new one")
    undos.append(lambda: partners.void(order_id, "order failed"))
    await partners.pay(order_id, sums.total, sums.currency, new.payment.method, new.payment.token)
    await partners.commit(order_id)
    confirmed = await repository.confirm(primary, order_id)
    if confirmed is None:
        raise OrderGone(f"order {order_id} was given up meanwhile; place a new one")
    return confirmed


def _as_problem(error: Exception, order_id: UUID) -> Exception:
    """The error as the caller gets it: with the order's id, so that the order can be looked at."""
    if isinstance(error, TimeoutError):
        return OrderTimeout(f"order {order_id} took longer than {DEADLINE_S:.0f} s", order_id=str(order_id))
    if isinstance(error, ProblemError):
        error.members.setdefault("order_id", str(order_id))
    return error


async def _undo(primary: Primary, order_id: UUID, undos: list[Undo], cause: Exception) -> None:
    # All are tried, whatever becomes of the others.
    outcomes = await asyncio.gather(*(undo() for undo in undos), return_exceptions=True)
    failures = [outcome for outcome in outcomes if outcome is not None]
    if failures:
        logger.error("order %s stays PENDING, recovery will undo it: %s", order_id, failures)
        return
    try:
        await repository.fail(primary, order_id, str(cause) or type(cause).__name__)
    except psycopg.Error:
        logger.exception("order %s stays PENDING, recovery will fail it", order_id)
