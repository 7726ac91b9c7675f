"""What a payment, and a refund of it, is in the database, and what their events say of it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class PaymentRow:
    id: UUID
    order_id: UUID
    amount: Decimal
    captured: Decimal
    refunded: Decimal
    currency: str
    status: str
    method: str
    provider_reference: str | None
    failure_code: str | None
    expires_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class RefundRow:
    id: UUID
    payment_id: UUID
    amount: Decimal
    reason: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Here:
    """The answer to a question."""

    here: bool


def named(payment: PaymentRow) -> dict[str, Any]:
    """What every event of a payment says."""
    return {
        "payment_id": payment.id,
        "order_id": payment.order_id,
        "amount": payment.amount,
        "currency": payment.currency,
    }
