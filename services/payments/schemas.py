"""The JSON of the payments service."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from services.kit.schema import Amount, Currency, Input, Name, Output

Reason = Annotated[Name, Field(max_length=200)]
Token = Annotated[Name, Field(max_length=100, description="the provider's name for the payer's card or account")]


class NewPayment(Input):
    order_id: UUID
    amount: Amount
    currency: Currency
    method: Literal["card", "invoice", "wallet"]
    token: Token


class Payment(Output):
    id: UUID
    order_id: UUID
    amount: Decimal
    captured: Decimal
    refunded: Decimal
    currency: str
    status: Literal["PENDING", "AUTHORISED", "CAPTURED", "DECLINED", "VOIDED", "REFUNDED"]
    method: str
    provider_reference: str | None
    failure_code: str | None
    expires_at: datetime | None = Field(description="until when it can be captured; null before it is authorised")
    created_at: datetime
    updated_at: datetime


class Payments(Output):
    items: list[Payment]


class NewRefund(Input):
    amount: Amount
    reason: Reason


class Refund(Output):
    id: UUID
    payment_id: UUID
    amount: Decimal
    reason: str
    created_at: datetime


class Void(Input):
    order_id: UUID
    reason: Reason
