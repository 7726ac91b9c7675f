"""The SQL of payments. A payment leaves PENDING once; what is refunded never exceeds what was captured."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.kit.db import Primary


@dataclass(frozen=True, slots=True)
class PaymentRow:
    id: UUID
    order_id: UUID
    amount: Decimal
    refunded: Decimal
    currency: str
    status: str
    method: str
    provider_reference: str | None
    failure_code: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class RefundRow:
    id: UUID
    payment_id: UUID
    amount: Decimal
    reason: str
    created_at: datetime


async def open_payment(primary: Primary, values: dict[str, Any]) -> PaymentRow | None:
    """A PENDING payment of the order; None when the order has a payment already."""
    return await primary.one(
        PaymentRow,
        """INSERT INTO payments (id, order_id, amount, currency, status, method)
           VALUES (%(id)s, %(order_id)s, %(amount)s, %(currency)s, 'PENDING', %(method)s)
           ON CONFLICT (order_id) DO NOTHING RETURNING *""",
        values,
    )


async def find(primary: Primary, payment_id: UUID) -> PaymentRow | None:
    return await primary.one(PaymentRow, "SELECT * FROM payments WHERE id = %s", [payment_id])


async def find_of_order(primary: Primary, order_id: UUID) -> PaymentRow | None:
    return await primary.one(PaymentRow, "SELECT * FROM payments WHERE order_id = %s", [order_id])


async def capture(primary: Primary, payment_id: UUID, provider_reference: str) -> PaymentRow | None:
    """PENDING becomes CAPTURED; None when it is not PENDING any more."""
    return await primary.one(
        PaymentRow,
        """UPDATE payments SET status = 'CAPTURED', provider_reference = %s, updated_at = now()
           WHERE id = %s AND status = 'PENDING' RETURNING *""",
        [provider_reference, payment_id],
    )


async def decline(
    primary: Primary, payment_id: UUID, provider_reference: str | None, failure_code: str
) -> PaymentRow | None:
    """PENDING becomes DECLINED; None when it is not PENDING any more."""
    return await primary.one(
        PaymentRow,
        """UPDATE payments SET status = 'DECLINED', provider_reference = %s, failure_code = %s, updated_at = now()
           WHERE id = %s AND status = 'PENDING' RETURNING *""",
        [provider_reference, failure_code, payment_id],
    )


async def record_refund(
    primary: Primary, payment: PaymentRow, refund_id: UUID, amount: Decimal, reason: str
) -> RefundRow | None:
    """Note a refund that the provider made; None when another one was noted since `payment` was read."""
    return await primary.one(
        RefundRow,
        """WITH changed AS (
               UPDATE payments SET refunded = refunded + %(amount)s, updated_at = now(),
                   status = CASE WHEN refunded + %(amount)s = amount THEN 'REFUNDED' ELSE status END
               WHERE id = %(payment_id)s AND refunded = %(refunded)s AND status = 'CAPTURED' RETURNING id)
           INSERT INTO refunds (id, payment_id, amount, reason)
           SELECT %(refund_id)s, id, %(amount)s, %(reason)s FROM changed RETURNING *""",
        {
            "payment_id": payment.id,
            "refunded": payment.refunded,
            "refund_id": refund_id,
            "amount": amount,
            "reason": reason,
        },
    )
