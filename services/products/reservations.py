"""Stock held for orders: nothing oversells, every command can be repeated, and a hold that nobody ends expires.

A hold is taken by one statement: it locks the stock rows in the order of their ids, so that two orders never wait for
each other in a ring, looks at them again once they are its own, and takes all lines or none. A product that is sold out
is refused without a lock. An order whose hold has ended, or that was released before it held anything, is refused for
good (ReservationClosed). How a hold ends is in endings.py.

    available --reserve--> reserved --commit--> sold          release, expire: reserved --> available
                                                              release of what is sold: sold --> available
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from services.kit import outbox
from services.kit.db import Primary
from services.kit.problem import Conflict, Unavailable, Unprocessable
from services.products.events import ReservationHeld, ReservedLine
from services.products.stock_schemas import NewReservation

HOLD = timedelta(minutes=15)
# Each attempt that is told nothing lost its pieces to somebody else meanwhile, who got on: this is never reached.
_ATTEMPTS = 20


class InsufficientStock(Conflict):
    slug = "insufficient-stock"


class ReservationClosed(Conflict):
    slug = "reservation-closed"


class UnknownProduct(Unprocessable):
    slug = "unknown-product"


class NotSold(Conflict):
    slug = "not-sold"


@dataclass(frozen=True, slots=True)
class Hold:
    """An order's hold; `lines` as they were answered. A tombstone has none."""

    order_id: UUID
    state: str
    lines: list[dict[str, Any]]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Offer:
    """A wanted line beside what is there; `taken` and the hold's columns say whether the order holds it now."""

    product_id: UUID
    quantity: int
    sku: str | None
    name: str | None
    status: str | None
    amount: Decimal | None
    currency: str | None
    available: int | None
    known: bool
    lines: list[dict[str, Any]] | None
    expires_at: datetime | None


# The lines as wanted, each beside what is there; nothing is locked yet.
_LOOK: LiteralString = """
    WITH offered AS MATERIALIZED (
        SELECT line.*, sku, name, status, amount, currency, available,
            EXISTS (SELECT FROM service.holds WHERE order_id = %(order_id)s) AS known
        FROM unnest(%(ids)s::uuid[], %(quantities)s::int[]) WITH ORDINALITY AS line(product_id, quantity, place)
        LEFT JOIN (products JOIN prices ON prices.product_id = id JOIN stock ON stock.product_id = id)
            ON id = line.product_id),"""

# One line needs no lock beforehand: the UPDATE waits for the row, looks again, and takes it or not.
_TAKE_ONE: LiteralString = """
    taken AS (
        UPDATE stock SET available = stock.available - quantity, reserved = reserved + quantity, updated_at = now()
        FROM offered
        WHERE stock.product_id = offered.product_id AND stock.available >= quantity
            AND status = 'active' AND NOT known
        RETURNING stock.product_id, quantity),"""

# Several lines are locked in the order of their ids, looked at again, and taken when none is missing.
_TAKE_ALL: LiteralString = """
    free AS MATERIALIZED (
        SELECT product_id FROM stock JOIN offered USING (product_id)
        WHERE stock.available >= quantity
            AND (SELECT bool_and(NOT known AND status = 'active' AND available >= quantity) FROM offered)
        ORDER BY product_id FOR NO KEY UPDATE OF stock),
    taken AS (
        UPDATE stock SET available = stock.available - quantity, reserved = reserved + quantity, updated_at = now()
        FROM offered
        WHERE stock.product_id = offered.product_id
            AND (SELECT count(*) FROM free) = (SELECT count(*) FROM offered)
        RETURNING stock.product_id, quantity),"""

_HOLD: LiteralString = """
    held AS (
        INSERT INTO service.holds (order_id, state, lines, expires_at)
        SELECT %(order_id)s, 'held', jsonb_agg(jsonb_build_object(
                'product_id', product_id, 'sku', sku, 'name', name, 'quantity', offered.quantity,
                'unit_price', amount::text, 'currency', currency) ORDER BY place), now() + %(hold)s
        FROM offered JOIN taken USING (product_id) HAVING count(*) > 0
        RETURNING lines, expires_at),
    noted AS (
        INSERT INTO reservations (order_id, product_id, quantity, state, expires_at)
        SELECT %(order_id)s, product_id, quantity, 'held', now() + %(hold)s FROM taken),
    moved AS (
        INSERT INTO stock_movements (product_id, kind, quantity, order_id)
        SELECT product_id, 'reserved', quantity, %(order_id)s FROM taken),
    told AS MATERIALIZED (SELECT pg_logical_emit_message(true, %(prefix)s, %(message)s) FROM held)
    SELECT product_id, quantity, sku, name, status, amount, currency, available, known, lines, expires_at
    FROM offered LEFT JOIN held ON true WHERE (SELECT count(*) FROM told) >= 0 ORDER BY place"""

_RESERVE_ONE: LiteralString = _LOOK + _TAKE_ONE + _HOLD
_RESERVE_ALL: LiteralString = _LOOK + _TAKE_ALL + _HOLD


async def reserve(primary: Primary, wanted: NewReservation, hold: timedelta = HOLD) -> Hold:
    """Hold every line, or raise InsufficientStock, NotSold or UnknownProduct with nothing changed.

    Raises ReservationClosed for an order that was released or has expired. The same order again gets the same answer.
    """
    lines = tuple(ReservedLine.model_validate(line) for line in wanted.lines)
    values = {
        "prefix": outbox.PREFIX,
        "message": outbox.message(ReservationHeld(order_id=wanted.order_id, lines=lines)),
        "order_id": wanted.order_id,
        "ids": [line.product_id for line in wanted.lines],
        "quantities": [line.quantity for line in wanted.lines],
        "hold": hold,
    }
    statement = _RESERVE_ONE if len(wanted.lines) == 1 else _RESERVE_ALL
    for _ in range(_ATTEMPTS):
        try:
            offers = await primary.all(_Offer, statement, values)
        except psycopg.errors.UniqueViolation:  # the same order arrived twice at once, or its release overtook it
            return await _again(primary, wanted)
        if offers[0].known:
            return await _again(primary, wanted)
        if offers[0].lines is not None and offers[0].expires_at is not None:
            return Hold(wanted.order_id, "held", offers[0].lines, offers[0].expires_at)
        _refuse(offers)
    raise Unavailable("the stock of these products changes too quickly; try again")


def _refuse(offers: list[_Offer]) -> None:
    """Raise what is wrong with the lines; return when all was there, and somebody else was quicker."""
    if unknown := [str(offer.product_id) for offer in offers if offer.sku is None]:
        raise UnknownProduct(f"there is no product {', '.join(unknown)}", products=unknown)
    if gone := [offer.sku for offer in offers if offer.status != "active"]:
        raise NotSold(f"no longer sold: {', '.join(map(str, gone))}", products=gone)
    if short := [offer for offer in offers if (offer.available or 0) < offer.quantity]:
        raise InsufficientStock(
            f"not enough stock of {', '.join(f'{offer.sku} (wanted {offer.quantity})' for offer in short)}",
            products=[
                {
                    "product_id": str(offer.product_id),
                    "sku": offer.sku,
                    "requested": offer.quantity,
                    "available": offer.available,
                }
                for offer in short
            ],
        )


async def find(primary: Primary, order_id: UUID) -> Hold | None:
    """The order's hold as it is now."""
    return await primary.one(
        Hold, "SELECT order_id, state, lines, expires_at FROM service.holds WHERE order_id = %s", [order_id]
    )


async def _again(primary: Primary, wanted: NewReservation) -> Hold:
    """The answer that the same request got before."""
    hold = await find(primary, wanted.order_id)
    if hold is None:
        raise Unavailable("the reservation of this order is not decided yet; try again")
    if hold.state in {"released", "expired"}:
        raise ReservationClosed(f"the reservation of order {wanted.order_id} is {hold.state}; place a new order")
    held = {(line["product_id"], line["quantity"]) for line in hold.lines}
    if held != {(str(line.product_id), line.quantity) for line in wanted.lines}:
        raise Conflict(f"order {wanted.order_id} holds other lines; a reservation cannot be changed")
    return hold
