"""Stock held for orders: nothing oversells, and every command can be repeated.

A piece is taken by one conditional UPDATE, so two orders never get the same one; the products of an order are taken in
the order of their ids, so two orders never wait for each other in a ring; all lines are held or none. Refuses to hold
anything for an order whose reservation was released. Holds do not expire by themselves.

    available --reserve--> reserved --commit--> sold          release: reserved or sold --> available
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from services.kit.db import Primary, Transaction
from services.kit.problem import Conflict, Unprocessable
from services.products.schemas import NewReservation, WantedLine


class InsufficientStock(Conflict):
    slug = "insufficient-stock"


class UnknownProduct(Unprocessable):
    slug = "unknown-product"


class NotSold(Conflict):
    slug = "not-sold"


class _HeldBefore(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Product:
    product_id: UUID


@dataclass(frozen=True, slots=True)
class _Offer:
    product_id: UUID
    sku: str
    name: str
    status: str
    amount: Decimal
    currency: str
    available: int


@dataclass(frozen=True, slots=True)
class _Held:
    product_id: UUID
    quantity: int
    state: str
    lines: list[dict[str, Any]]


async def reserve(primary: Primary, wanted: NewReservation) -> list[dict[str, Any]]:
    """Hold every line or raise InsufficientStock / UnknownProduct with nothing changed; the lines with their prices."""
    try:
        async with primary.transaction() as transaction:
            return await _take(transaction, wanted)
    except _HeldBefore:
        return await _repeat(primary, wanted)


async def _take(transaction: Transaction, wanted: NewReservation) -> list[dict[str, Any]]:
    lines = sorted(wanted.lines, key=lambda line: line.product_id)
    ids = [line.product_id for line in lines]
    # First, so that the same order sent twice at once waits here and not after having taken stock.
    noted = await transaction.send(
        _Product,
        """INSERT INTO reservations (order_id, product_id, quantity, state)
           SELECT %s, product_id, quantity, 'held' FROM unnest(%s::uuid[], %s::int[]) AS line(product_id, quantity)
           ON CONFLICT (order_id, product_id) DO NOTHING RETURNING product_id""",
        [wanted.order_id, ids, [line.quantity for line in lines]],
    )
    takings = [
        await transaction.send(
            _Product,
            """UPDATE stock SET available = available - %(quantity)s, reserved = reserved + %(quantity)s,
                   updated_at = now()
               WHERE product_id = %(product_id)s AND available >= %(quantity)s RETURNING product_id""",
            line.model_dump(),
        )
        for line in lines
    ]
    offered = await transaction.send(
        _Offer,
        """SELECT products.id AS product_id, sku, name, status, amount, currency, available
           FROM products JOIN prices ON prices.product_id = id JOIN stock ON stock.product_id = id
           WHERE id = ANY(%s)""",
        [ids],
    )
    if len(await noted.fetchall()) < len(lines):
        raise _HeldBefore
    taken = {row.product_id for taking in takings for row in await taking.fetchall()}
    offers = {offer.product_id: offer for offer in await offered.fetchall()}
    _refuse_unless_all(wanted.lines, taken, offers)
    reply = [_reply(offers[line.product_id], line.quantity) for line in wanted.lines]
    await transaction.execute(
        "INSERT INTO service.reservation_replies (order_id, lines) VALUES (%s, %s)", [wanted.order_id, Jsonb(reply)]
    )
    return reply


def _refuse_unless_all(lines: list[WantedLine], taken: set[UUID], offers: dict[UUID, _Offer]) -> None:
    unknown = [str(line.product_id) for line in lines if line.product_id not in offers]
    if unknown:
        raise UnknownProduct(f"there is no product {', '.join(unknown)}", products=unknown)
    gone = [offer.sku for offer in offers.values() if offer.status != "active"]
    if gone:
        raise NotSold(f"no longer sold: {', '.join(gone)}", products=gone)
    short = [line for line in lines if line.product_id not in taken]
    if short:
        names = ", ".join(f"{offers[line.product_id].sku} (wanted {line.quantity})" for line in short)
        products = [
            {
                "product_id": str(line.product_id),
                "sku": offers[line.product_id].sku,
                "requested": line.quantity,
                "available": offers[line.product_id].available,
            }
            for line in short
        ]
        raise InsufficientStock(f"not enough stock of {names}", products=products)


def _reply(offer: _Offer, quantity: int) -> dict[str, Any]:
    return {
        "product_id": str(offer.product_id),
        "sku": offer.sku,
        "name": offer.name,
        "quantity": quantity,
        "unit_price": str(offer.amount),
        "currency": offer.currency,
    }


async def _repeat(primary: Primary, wanted: NewReservation) -> list[dict[str, Any]]:
    """The answer that the same request got before."""
    held = await primary.all(
        _Held,
        """SELECT product_id, quantity, state, lines
           FROM reservations JOIN service.reservation_replies USING (order_id) WHERE order_id = %s""",
        [wanted.order_id],
    )
    if {(row.product_id, row.quantity) for row in held} != {(line.product_id, line.quantity) for line in wanted.lines}:
        raise Conflict(f"order {wanted.order_id} holds other lines; a reservation cannot be changed")
    if any(row.state == "released" for row in held):
        raise Conflict(f"the reservation of order {wanted.order_id} was released; place a new order")
    return held[0].lines


# Rows are locked in the order of their ids before they are changed: an UPDATE ... FROM would take them in any order.
_LOCK_STOCK = """
    SELECT product_id FROM stock WHERE product_id IN (
        SELECT product_id FROM reservations WHERE order_id = %s AND state IN ('held', 'committed'))
    ORDER BY product_id FOR UPDATE"""


async def commit(primary: Primary, order_id: UUID) -> None:
    """The held pieces are sold. Nothing happens to an order without held ones, or when it is called again."""
    async with primary.transaction() as transaction:
        await transaction.execute(_LOCK_STOCK, [order_id])
        await transaction.execute(
            """WITH moved AS (
                   UPDATE reservations SET state = 'committed', updated_at = now()
                   WHERE order_id = %s AND state = 'held' RETURNING product_id, quantity)
               UPDATE stock SET reserved = reserved - quantity, sold = sold + quantity, updated_at = now()
               FROM moved WHERE stock.product_id = moved.product_id""",
            [order_id],
        )


async def release(primary: Primary, order_id: UUID) -> None:
    """Held and sold pieces are available again. Nothing happens to an order without any, or when it is called again."""
    async with primary.transaction() as transaction:
        await transaction.execute(_LOCK_STOCK, [order_id])
        await transaction.execute(
            """WITH before AS (
                   SELECT product_id, quantity, state FROM reservations
                   WHERE order_id = %s AND state <> 'released' FOR UPDATE),
               moved AS (
                   UPDATE reservations SET state = 'released', updated_at = now() FROM before
                   WHERE reservations.order_id = %s AND reservations.product_id = before.product_id
                   RETURNING before.product_id, before.quantity, before.state)
               UPDATE stock SET available = available + quantity,
                   reserved = reserved - CASE state WHEN 'held' THEN quantity ELSE 0 END,
                   sold = sold - CASE state WHEN 'committed' THEN quantity ELSE 0 END,
                   updated_at = now()
               FROM moved WHERE stock.product_id = moved.product_id""",
            [order_id, order_id],
        )
