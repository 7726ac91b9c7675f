"""The payment provider as payments sees it: a port. Which provider stands behind it is decided where it is wired.

Every command can be repeated: an authorisation and a refund carry a reference of ours under which the provider does them
once, a capture and a void change a charge that is changed already. An answer that was lost is asked for, never assumed.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from services.kit.problem import Conflict, Unavailable


class ProviderUnavailable(Unavailable):
    """Transient: it is not known whether the money moved; the same request again finds out."""

    slug = "payment-provider-unavailable"

    def __init__(self, detail: str = "the payment provider did not answer; try again") -> None:
        super().__init__(detail)


class RefundRefused(Conflict):
    """Permanent: the provider keeps less of the charge than we think; reconciliation finds out."""

    slug = "refund-refused"


class ChargeStatus(StrEnum):
    AUTHORISED = "authorised"
    CAPTURED = "captured"
    VOIDED = "voided"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True)
class ProviderRefund:
    reference: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge as the provider has it; `reference` is the order's id, `amount` what was authorised and can be taken."""

    id: str
    reference: str
    status: ChargeStatus
    amount: Decimal
    currency: str
    failure_code: str | None
    updated_at: datetime
    refunds: tuple[ProviderRefund, ...] = ()

    @property
    def live(self) -> bool:
        """Whether the provider holds or keeps any of the payer's money."""
        return self.status == ChargeStatus.AUTHORISED or self.kept > 0

    @property
    def kept(self) -> Decimal:
        """What was taken and not given back."""
        if self.status != ChargeStatus.CAPTURED:
            return Decimal(0)
        return self.amount - sum((refund.amount for refund in self.refunds), Decimal(0))


class PaymentProvider(Protocol):
    """All raise ProviderUnavailable when the outcome is not known."""

    async def authorise(self, order_id: UUID, amount: Decimal, currency: str, token: str) -> Charge:
        """Reserve the money once, whatever happens on the line; the charge may be declined."""

    async def capture(self, charge_id: str) -> Charge:
        """Take the reserved money; the charge as it is then, which is VOIDED when it was let go before."""

    async def void(self, charge_id: str) -> Charge:
        """Let go of the reserved money; the charge as it is then, which is CAPTURED when it was taken before."""

    async def refund(self, charge_id: str, reference: str, amount: Decimal) -> Decimal:
        """Give money back once per reference; what was given back under it, which is `amount` unless it came before.

        Raises RefundRefused when the charge has not that much left.
        """

    async def find(self, reference: str) -> list[Charge]:
        """The charges of the order, the first one first: there is more than one when the provider erred."""

    def changed(self, since: datetime) -> AsyncIterator[Charge]:
        """Every charge that was made or changed at `since` or later, in the order of the changes."""
