"""Taking and giving back money, once per order whatever is repeated.

No database transaction is open while the provider is asked. The row says PENDING before the provider is asked and
leaves PENDING by one conditional UPDATE, so a payment that was voided meanwhile is noticed and given back.
"""

from decimal import Decimal
from uuid import UUID

from services.kit.db import Primary
from services.kit.ids import uuid7
from services.kit.problem import Conflict, NotFound, ProblemError, Unavailable
from services.payments import repository
from services.payments.provider import Charge, Provider
from services.payments.repository import PaymentRow, RefundRow
from services.payments.schemas import NewPayment, NewRefund, Payment, Payments, Refund, Void

VOIDED = "voided"
_ROUNDS = 3


class PaymentDeclined(ProblemError):
    status, slug = 402, "payment-declined"


class OverRefund(Conflict):
    slug = "over-refund"


def _declined(payment: PaymentRow) -> PaymentDeclined:
    return PaymentDeclined(
        f"the payment was declined: {payment.failure_code}",
        payment_id=str(payment.id),
        failure_code=payment.failure_code,
    )


class PaymentService:
    def __init__(self, primary: Primary, provider: Provider) -> None:
        self._primary = primary
        self._provider = provider

    async def pay(self, new: NewPayment) -> Payment:
        """Capture the order's payment. The same order again gets the same outcome; raises PaymentDeclined."""
        values = {"id": uuid7(), **new.model_dump(exclude={"token"})}
        payment = await repository.open_payment(self._primary, values)
        if payment is None:
            payment = await self._of_order(new.order_id)
            if (payment.amount, payment.currency, payment.method) != (new.amount, new.currency, new.method):
                raise Conflict(f"order {new.order_id} has a payment of another amount or kind already")
        if payment.status == "PENDING":
            charge = await self._provider.charge(payment.order_id, payment.amount, payment.currency, new.token)
            payment = await self._settle(payment, charge)
        if payment.status == "DECLINED":
            raise _declined(payment)
        if payment.status == "REFUNDED":
            raise Conflict(f"the payment of order {new.order_id} was given back; place a new order")
        return Payment.model_validate(payment)

    async def _settle(self, payment: PaymentRow, charge: Charge) -> PaymentRow:
        """Note the provider's word on a PENDING payment; the payment as it is then."""
        if charge.captured:
            changed = await repository.capture(self._primary, payment.id, charge.id)
        else:
            code = charge.failure_code or "declined"
            changed = await repository.decline(self._primary, payment.id, charge.id, code)
        if changed is not None:
            return changed
        current = await self._of_order(payment.order_id)
        if charge.captured and current.status == "DECLINED":
            # Voided while the provider was asked: the money came too late and goes back.
            await self._provider.refund(charge.id, f"{payment.id}:late", payment.amount)
        return current

    async def read(self, payment_id: UUID) -> Payment:
        return Payment.model_validate(await self._existing(payment_id))

    async def of_order(self, order_id: UUID) -> Payments:
        payment = await repository.find_of_order(self._primary, order_id)
        return Payments(items=[] if payment is None else [Payment.model_validate(payment)])

    async def refund(self, payment_id: UUID, new: NewRefund) -> Refund:
        payment = await self._existing(payment_id)
        if payment.status not in ("CAPTURED", "REFUNDED"):
            raise Conflict(f"payment {payment_id} is {payment.status}; only a captured one can be refunded")
        left = payment.amount - payment.refunded
        if new.amount > left:
            raise OverRefund(f"{left} {payment.currency} are left to refund, not {new.amount}")
        row = await self._give_back(payment, new.amount, new.reason)
        if row is None or row.amount != new.amount:
            raise Conflict(f"another refund of payment {payment_id} was made meanwhile; look at it and ask again")
        return Refund.model_validate(row)

    async def void(self, void: Void) -> None:
        """Leave the order with no money taken; the provider is asked about a PENDING payment."""
        for _ in range(_ROUNDS):
            payment = await repository.find_of_order(self._primary, void.order_id)
            if payment is not None and payment.status == "PENDING":
                charge = await self._provider.find(payment.order_id)
                payment = await self._settle(payment, charge or Charge("", "declined", VOIDED))
            if payment is None or payment.status != "CAPTURED":
                return
            await self._give_back(payment, payment.amount - payment.refunded, void.reason)
        raise Unavailable(f"the payment of order {void.order_id} keeps changing; try again")

    async def _give_back(self, payment: PaymentRow, amount: Decimal, reason: str) -> RefundRow | None:
        """The refund as noted; None when another one was noted first.

        The reference is made of what was refunded before: a repetition after a lost answer, and a refund made at the
        same moment, name the same refund at the provider, and only one of them is noted here.
        """
        reference = f"{payment.id}:{payment.refunded}"
        given = await self._provider.refund(payment.provider_reference or "", reference, amount)
        return await repository.record_refund(self._primary, payment, uuid7(), given, reason)

    async def _existing(self, payment_id: UUID) -> PaymentRow:
        if (payment := await repository.find(self._primary, payment_id)) is None:
            raise NotFound(f"there is no payment {payment_id}")
        return payment

    async def _of_order(self, order_id: UUID) -> PaymentRow:
        if (payment := await repository.find_of_order(self._primary, order_id)) is None:
            raise NotFound(f"there is no payment of order {order_id}")
        return payment
