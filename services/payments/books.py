"""Our books and the provider's word: what it did is noted, what it must undo is asked of it and noted.

Requests use it for their steps and reconciliation for what they left half-way. No database transaction is open while the
provider is asked; what it says is noted by one conditional UPDATE, so that both may be at the same payment.
"""

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid5

from services.kit.db import Primary
from services.kit.problem import NotFound, Unavailable
from services.payments import repository
from services.payments.provider import Charge, ChargeStatus, PaymentProvider, ProviderUnavailable, RefundRefused
from services.payments.repository import Beside, PaymentRow, RefundRow
from services.payments.schemas import Void

AUTHORISED_FOR = timedelta(days=7)
_ROUNDS = 5

logger = logging.getLogger(__name__)


def refund_id(payment_id: UUID, reference: str) -> UUID:
    """The id of the refund that the provider has under this reference."""
    return uuid5(payment_id, reference)


class Books:
    """The payments of one database, kept beside one provider's."""

    def __init__(self, primary: Primary, provider: PaymentProvider) -> None:
        self._primary = primary
        self._provider = provider

    async def note(self, payment: PaymentRow, charge: Charge) -> PaymentRow:
        """Bring our record to the provider's word on the charge, as far as it goes; the payment as it is then."""
        current: PaymentRow | None = payment
        if payment.status == "PENDING":
            if charge.status == ChargeStatus.DECLINED:
                code = charge.failure_code or "declined"
                current = await repository.decline(self._primary, payment.id, charge.id, code)
            else:
                until = datetime.now(UTC) + AUTHORISED_FOR
                current = await repository.authorise(self._primary, payment, charge.id, until)
        if current is not None and current.status == "AUTHORISED":
            if charge.status == ChargeStatus.CAPTURED:
                current = await repository.capture(self._primary, current)
            elif charge.status == ChargeStatus.VOIDED:
                current = await repository.void(self._primary, current, charge.failure_code)
        # None: somebody else took the step first, and maybe another one.
        return current or await self.of_order(payment.order_id)

    async def note_in_time(self, payment: PaymentRow, charge: Charge) -> PaymentRow:
        """`note`, and when the order was closed meanwhile, undone at once; reconciliation does it if that fails."""
        current = await self.note(payment, charge)
        try:
            if current.status == "VOIDED" and charge.live:
                await self.return_unowed(charge)
            elif current.status != "DECLINED" and await repository.closed(self._primary, payment.order_id):
                await self.finish_void(payment.order_id, "voided meanwhile")
                current = await self.of_order(payment.order_id)
        except ProviderUnavailable:
            logger.warning("payment %s came too late and is not given back yet", payment.id)
        return current

    async def void(self, void: Void) -> None:
        """Leave the order with no money taken, and let none be taken later. Can be repeated."""
        await repository.close(self._primary, void.order_id, void.reason)
        await self.finish_void(void.order_id, void.reason)

    async def finish_void(self, order_id: UUID, reason: str) -> None:
        """Undo what there is of a payment whose order is closed."""
        for _ in range(_ROUNDS):
            payment = await repository.find_of_order(self._primary, order_id)
            if payment is None or payment.status in ("DECLINED", "VOIDED", "REFUNDED"):
                return
            if payment.status == "PENDING":
                charges = await self._provider.find(str(order_id))
                if charges:
                    await self.note(payment, charges[0])
                else:
                    await repository.void(self._primary, payment)
            elif payment.status == "AUTHORISED":
                await self.note(payment, await self._provider.void(payment.provider_reference or ""))
            else:
                try:
                    await self._give_back_all(payment, reason)
                except RefundRefused as refusal:
                    # Somebody refunded at the provider's own desk; reconciliation notes it, then this works.
                    raise ProviderUnavailable("the provider keeps less than we think; try again later") from refusal
        raise Unavailable(f"the payment of order {order_id} keeps changing; try again")

    async def return_unowed(self, charge: Charge) -> Decimal:
        """Undo a charge that belongs to no payment of ours; how much money came and went, zero if none was taken.

        The references are made of the charge, so that a repetition is the same refund. It may be captured under us.
        """
        if charge.status == ChargeStatus.AUTHORISED:
            charge = await self._provider.void(charge.id)
        reference = f"{charge.id}:unowed"
        given = sum((refund.amount for refund in charge.refunds if refund.reference == reference), Decimal(0))
        if charge.kept > 0:
            given = await self._provider.refund(charge.id, reference, charge.kept)
        if given > 0:
            await repository.give_back_unowed(self._primary, reference, given, charge.currency)
        return given

    async def adopt_refunds(self, payment: PaymentRow, charge: Charge, amount: Decimal) -> None:
        """Note refunds of so much in all that the provider made and we did not, the newest first: their answers were
        lost, or they were made at its own desk."""
        noted = await repository.refund_ids(self._primary, payment.id)
        for refund in reversed(charge.refunds):
            refund_is = refund_id(payment.id, refund.reference)
            if refund_is not in noted and refund.amount <= amount:
                await repository.refund(self._primary, payment, refund_is, refund.amount, "found at the provider")
                amount -= refund.amount

    async def give_back(
        self, payment: PaymentRow, reference: str, amount: Decimal, reason: str, beside: Beside | None = None
    ) -> RefundRow:
        """The refund as noted. Its id is made of the reference, so that whoever learns of it notes the same one."""
        given = await self._provider.refund(payment.provider_reference or "", reference, amount)
        refund_is = refund_id(payment.id, reference)
        return await repository.refund(self._primary, payment, refund_is, given, reason, beside)

    async def _give_back_all(self, payment: PaymentRow, reason: str) -> None:
        """The reference is made of what was refunded before: a repetition after a lost answer, and one at the same
        moment, name the same refund."""
        left = payment.captured - payment.refunded
        await self.give_back(payment, f"{payment.id}:{payment.refunded}", left, reason)

    async def of_order(self, order_id: UUID) -> PaymentRow:
        if (payment := await repository.find_of_order(self._primary, order_id)) is None:
            raise NotFound(f"there is no payment of order {order_id}")
        return payment
