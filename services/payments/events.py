"""What payments tells others of, in `events.payments`: the steps of a payment, each in the transaction that notes it.

The payer, the card and the reason that somebody wrote for a refund are not told.
"""

from typing import ClassVar
from uuid import UUID

from services.kit.events import Event, Money


class PaymentEvent(Event):
    aggregate: ClassVar[str] = "payments"

    payment_id: UUID
    order_id: UUID
    amount: Money
    """Of this step."""
    currency: str

    @property
    def key(self) -> UUID:
        return self.payment_id


class PaymentAuthorised(PaymentEvent):
    """The money is set aside."""


class PaymentDeclined(PaymentEvent):
    """The provider declined; `failure_code` is its word for why."""

    failure_code: str


class PaymentCaptured(PaymentEvent):
    """The money is ours."""


class PaymentVoided(PaymentEvent):
    """Nothing was taken, and nothing will be."""


class PaymentRefunded(PaymentEvent):
    """`amount` went back, and `refunded` in all so far."""

    refund_id: UUID
    refunded: Money


EVENTS: tuple[type[Event], ...] = (
    PaymentAuthorised,
    PaymentDeclined,
    PaymentCaptured,
    PaymentVoided,
    PaymentRefunded,
)
