"""One order's payment and its charges at the provider: mended where that is safe, else put into words.

What the provider did and we did not note is noted; what it took though nothing is owed goes back under the same key; what
was left half-way is finished. What cannot be explained is never changed. Each step is conditional on the status it starts
from, so this runs beside the requests; and what changed just now is given time, as its request may still be at it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from services.kit.db import Primary
from services.payments import judgement, repository
from services.payments.books import Books
from services.payments.findings import Finding, Kind
from services.payments.provider import Charge, ChargeStatus, PaymentProvider
from services.payments.repository import PaymentRow
from services.payments.schemas import Void

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """From which age on what is under way counts as left behind."""

    asked_after: timedelta = timedelta(seconds=30)
    """A PENDING payment, or a void that was not finished, is looked after; a charge of no payment is reported."""
    abandoned_after: timedelta = timedelta(minutes=15)
    """A PENDING payment that the provider knows nothing of is voided."""


@dataclass(slots=True)
class Outcome:
    """What one run did."""

    compared: int = 0
    noted: int = 0
    given_back: int = 0
    amount_given_back: Decimal = Decimal(0)
    findings: list[Finding] = field(default_factory=list)
    failed: int = 0


class Comparison:
    """`compare` one reference after another; `outcome` adds up what was done."""

    def __init__(
        self, primary: Primary, provider: PaymentProvider, bounds: Bounds, clock: Callable[[], datetime]
    ) -> None:
        self.outcome = Outcome()
        self._primary = primary
        self._provider = provider
        self._books = Books(primary, provider)
        self._bounds = bounds
        self._clock = clock

    async def compare(self, reference: str) -> list[Finding]:
        """Look at both sides as they are now and mend what can be mended; the rest. Raises ProviderUnavailable."""
        charges = await self._provider.find(reference)
        order_id = judgement.order_id_of(reference)
        payment = None if order_id is None else await repository.find_of_order(self._primary, order_id)
        if payment is not None:
            found = await self._payment(payment, charges)
        else:
            found = await self._strangers(reference, order_id, charges)
        self.outcome.findings += found
        return found

    async def _strangers(self, reference: str, order_id: UUID | None, charges: list[Charge]) -> list[Finding]:
        """Charges of no payment of ours: given back when the order was closed, else reported when no longer fresh."""
        live = [charge for charge in charges if charge.live]
        if order_id is not None and await repository.closed(self._primary, order_id):
            await self._return(charges)
            return []
        taken = sum((charge.amount for charge in live), Decimal(0))
        if not live or all(self._fresh(charge.updated_at) for charge in live):
            return []
        detail = f"the provider has {len(live)} charge(s) under it, we have no payment"
        return [Finding(Kind.UNKNOWN_CHARGE, reference, detail, live[0].id, None, taken)]

    async def _payment(self, payment: PaymentRow, charges: list[Charge]) -> list[Finding]:
        if wrong := judgement.of_another_amount(payment, charges):
            return wrong
        before = payment
        payment = await self._finished(payment, charges)
        if payment != before:
            charges = await self._provider.find(str(payment.order_id))
        own = next((charge for charge in charges if charge.id == payment.provider_reference), None)
        if own is not None and own.status != ChargeStatus.DECLINED:
            payment = await self._books.note(payment, own)
            payment = await self._adopt_refunds(payment, own)
        self.outcome.noted += payment != before
        if payment.status != "PENDING":
            unowed = [charge for charge in charges if charge is not own or payment.status == "VOIDED"]
            await self._return(unowed)
        return judgement.disagreement(payment, own, self._fresh)

    async def _finished(self, payment: PaymentRow, charges: list[Charge]) -> PaymentRow:
        """The payment after what was left half-way was finished: an answer to be noted, a void, an expiry."""
        order_id, now = payment.order_id, self._clock()
        if payment.status == "PENDING" and not self._fresh(payment.updated_at) and charges:
            payment = await self._books.note(payment, charges[0])
        abandoned = payment.status == "PENDING" and payment.updated_at < now - self._bounds.abandoned_after
        expired = payment.status == "AUTHORISED" and payment.expires_at is not None and payment.expires_at <= now
        if abandoned or expired:
            await self._books.void(Void(order_id=order_id, reason="abandoned" if abandoned else "expired"))
        elif await repository.closed(self._primary, order_id):
            if own := next((charge for charge in charges if charge.id == payment.provider_reference), None):
                await self._adopt_refunds(payment, own)  # first: the provider does not give back what it has given back
            await self._books.finish_void(order_id, "void finished by reconciliation")
        else:
            return payment
        return await repository.find_of_order(self._primary, order_id) or payment

    async def _adopt_refunds(self, payment: PaymentRow, charge: Charge) -> PaymentRow:
        """Note refunds that the provider made and we did not: an answer that was lost, or made at its own desk."""
        more = charge.amount - charge.kept - payment.refunded
        if payment.status != "CAPTURED" or charge.status != ChargeStatus.CAPTURED or more <= 0:
            return payment
        if self._fresh(payment.updated_at) or self._fresh(charge.updated_at):
            return payment
        await self._books.adopt_refunds(payment, charge, more)
        return await repository.find_of_order(self._primary, payment.order_id) or payment

    async def _return(self, charges: list[Charge]) -> None:
        """Undo what is live of `charges`; of one that was undone before, see that the ledger has it."""
        for charge in charges:
            given = await self._books.return_unowed(charge)
            if charge.live:
                self.outcome.given_back += 1
                self.outcome.amount_given_back += given
                logger.warning("reconciliation: charge %s of %s was not owed; undone", charge.id, charge.reference)

    def _fresh(self, moment: datetime) -> bool:
        return moment > self._clock() - self._bounds.asked_after
