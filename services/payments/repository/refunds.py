"""Money that goes back: refunds of a payment, and what the provider took though nothing was owed."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from uuid import UUID

from services.kit import outbox
from services.kit.db import Primary, Transaction
from services.kit.problem import Conflict
from services.payments import ledger
from services.payments.events import PaymentRefunded
from services.payments.ledger import Transfer
from services.payments.repository.rows import PaymentRow, RefundRow, named

Beside = Callable[[Transaction, RefundRow], Awaitable[None]]
"""Writes something else in the transaction that notes a refund."""


async def refund(
    primary: Primary,
    payment: PaymentRow,
    refund_id: UUID,
    amount: Decimal,
    reason: str,
    beside: Beside | None = None,
) -> RefundRow:
    """Note a refund that the provider made, once by its id; the row, whoever noted it. What is written `beside` is
    committed with it. Raises Conflict when our books have no room for it."""
    with ledger.refusals():
        async with primary.transaction() as transaction:
            row = await transaction.one(
                RefundRow,
                """INSERT INTO refunds (id, payment_id, amount, reason) VALUES (%s, %s, %s, %s)
                   ON CONFLICT (id) DO NOTHING RETURNING *""",
                [refund_id, payment.id, amount, reason],
            )
            if row is not None:
                await _add_refund(transaction, payment, row)
            else:
                row = await transaction.one(RefundRow, "SELECT * FROM refunds WHERE id = %s", [refund_id])
            assert row is not None
            if beside is not None:
                await beside(transaction, row)
            return row


async def _add_refund(transaction: Transaction, payment: PaymentRow, refund: RefundRow) -> None:
    changed = await transaction.one(
        PaymentRow,
        """UPDATE payments SET refunded = refunded + %(amount)s, updated_at = now(),
               status = CASE WHEN refunded + %(amount)s = captured THEN 'REFUNDED' ELSE status END
           WHERE id = %(id)s AND refunded + %(amount)s <= captured AND status = 'CAPTURED' RETURNING *""",
        {"id": payment.id, "amount": refund.amount},
    )
    if changed is None:
        raise Conflict(
            f"the provider gave back more of payment {payment.id} than we captured; reconciliation looks at it"
        )
    back = Transfer(
        f"refund:{refund.id}", "customer_payments", "provider_clearing", refund.amount, payment.currency, "refund"
    )
    await ledger.record(transaction, back)
    step = {**named(payment), "amount": refund.amount}
    await outbox.tell(transaction, PaymentRefunded(**step, refund_id=refund.id, refunded=changed.refunded))


async def give_back_unowed(primary: Primary, reference: str, amount: Decimal, currency: str) -> None:
    """Note money that the provider took though nothing was owed, and that it went back. Again it does nothing."""
    arrival = Transfer(
        f"{reference}:taken",
        "provider_clearing",
        "unowed_receipts",
        amount,
        currency,
        "unowed",
    )
    way_back = Transfer(
        f"{reference}:returned",
        "unowed_receipts",
        "provider_clearing",
        amount,
        currency,
        "unowed",
    )
    with ledger.refusals():
        async with primary.transaction() as transaction:
            await ledger.record(transaction, arrival)
            await ledger.record(transaction, way_back)
