"""Opening an order's payment, or saying that there shall be none.

Whoever opens or voids an order's payment first takes the order's advisory lock, so that a payment cannot slip in between
the void's look for one and its word that there shall be none.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.kit.db import Primary, Transaction
from services.payments.repository.rows import Here, PaymentRow


@dataclass(frozen=True, slots=True)
class Opened:
    """What became of opening a payment: the row when it was made now, else why it was not."""

    payment: PaymentRow | None
    closed: bool
    known_currency: bool


@dataclass(frozen=True, slots=True)
class _Word:
    known_currency: bool
    closed: bool


async def _lock(transaction: Transaction, order_id: UUID) -> None:
    await transaction.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 5))", [str(order_id)])


async def open_payment(primary: Primary, values: dict[str, Any]) -> Opened:
    """A PENDING payment of the order, unless it has one, is closed, or its currency has no accounts."""
    async with primary.transaction() as transaction:
        await _lock(transaction, values["order_id"])
        word = await transaction.one(
            _Word,
            """SELECT EXISTS (SELECT FROM accounts WHERE ledger = %(currency)s) AS known_currency,
                      EXISTS (SELECT FROM service.voids WHERE order_id = %(order_id)s) AS closed""",
            values,
        )
        assert word is not None
        if word.closed or not word.known_currency:
            return Opened(None, word.closed, word.known_currency)
        payment = await transaction.one(
            PaymentRow,
            """INSERT INTO payments (id, order_id, amount, currency, status, method)
               VALUES (%(id)s, %(order_id)s, %(amount)s, %(currency)s, 'PENDING', %(method)s)
               ON CONFLICT (order_id) DO NOTHING RETURNING *""",
            values,
        )
        return Opened(payment, closed=False, known_currency=True)


async def close(primary: Primary, order_id: UUID, reason: str) -> None:
    """Write the word that the order's payment is over; the first reason stays."""
    async with primary.transaction() as transaction:
        await _lock(transaction, order_id)
        await transaction.execute(
            "INSERT INTO service.voids (order_id, reason) VALUES (%s, %s) ON CONFLICT (order_id) DO NOTHING",
            [order_id, reason],
        )


async def closed(primary: Primary, order_id: UUID) -> bool:
    word = await primary.one(Here, "SELECT EXISTS (SELECT FROM service.voids WHERE order_id = %s) AS here", [order_id])
    return word is not None and word.here
