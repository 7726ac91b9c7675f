"""Taking and giving back money, once per order whatever is repeated.

    PENDING ──▶ AUTHORISED ──▶ CAPTURED ──▶ REFUNDED
       ├──▶ DECLINED  └──▶ VOIDED
       └──▶ VOIDED

No database transaction is open while the provider is asked. Before it is asked, our word is on record (a PENDING row; for
a void, that the order is closed); afterwards its word is noted by one conditional UPDATE. Whoever dies in between leaves
what `reconciliation` can finish. An order that was closed takes no money: what comes in late goes back.
"""

from uuid import UUID

from services.kit.db import Primary
from services.kit.ids import uuid7
from services.kit.problem import Conflict, NotFound, ProblemError, Unprocessable
from services.payments import repository
from services.payments.books import Books, refund_id
from services.payments.provider import PaymentProvider
from services.payments.repository import Beside, PaymentRow
from services.payments.schemas import NewPayment, NewRefund, Payment, Payments, Refund, Void


class PaymentDeclined(ProblemError):
    status, slug = 402, "payment-declined"


class PaymentClosed(Conflict):
    slug = "payment-closed"


class NotAuthorised(Conflict):
    slug = "payment-not-authorised"


class OverRefund(Conflict):
    slug = "over-refund"


class UnknownCurrency(Unprocessable):
    slug = "unknown-currency"


def _declined(payment: PaymentRow) -> PaymentDeclined:
    return PaymentDeclined(
        f"the payment was declined: {payment.failure_code}",
        payment_id=str(payment.id),
        failure_code=payment.failure_code,
    )


def _closed(order_id: UUID) -> PaymentClosed:
    return PaymentClosed(f"the payment of order {order_id} was voided or given back; place a new order")


class PaymentService:
    def __init__(self, primary: Primary, provider: PaymentProvider) -> None:
        self._primary = primary
        self._provider = provider
        self._books = Books(primary, provider)

    async def authorise(self, new: NewPayment) -> Payment:
        """Reserve the order's money. The same order again gets the same outcome.

        Raises PaymentDeclined, PaymentClosed, UnknownCurrency.
        """
        values = {"id": uuid7(), **new.model_dump(exclude={"token"})}
        opened = await repository.open_payment(self._primary, values)
        if not opened.known_currency:
            raise UnknownCurrency(f"the shop takes no payments in {new.currency}")
        if opened.closed:
            raise _closed(new.order_id)
        payment = opened.payment
        if payment is None:
            payment = await self._books.of_order(new.order_id)
            if (payment.amount, payment.currency, payment.method) != (new.amount, new.currency, new.method):
                raise Conflict(f"order {new.order_id} has a payment of another amount or kind already")
        if payment.status == "PENDING":
            charge = await self._provider.authorise(payment.order_id, payment.amount, payment.currency, new.token)
            payment = await self._books.note_in_time(payment, charge)
        if payment.status == "DECLINED":
            raise _declined(payment)
        if payment.status in ("VOIDED", "REFUNDED"):
            raise _closed(new.order_id)
        return Payment.model_validate(payment)

    async def capture(self, order_id: UUID) -> Payment:
        """Take what was authorised. Can be repeated. Raises NotFound, NotAuthorised, PaymentDeclined, PaymentClosed."""
        payment = await repository.find_of_order(self._primary, order_id)
        if await repository.closed(self._primary, order_id):
            raise _closed(order_id)
        if payment is None:
            raise NotFound(f"there is no payment of order {order_id}")
        if payment.status == "PENDING":
            if not (charges := await self._provider.find(str(order_id))):
                raise NotAuthorised(f"the payment of order {order_id} is not authorised yet; authorise it first")
            payment = await self._books.note_in_time(payment, charges[0])
        if payment.status == "AUTHORISED":
            payment = await self._books.note_in_time(
                payment, await self._provider.capture(payment.provider_reference or "")
            )
        if payment.status == "DECLINED":
            raise _declined(payment)
        if payment.status == "VOIDED" or await repository.closed(self._primary, order_id):
            raise _closed(order_id)
        return Payment.model_validate(payment)

    async def void(self, void: Void) -> None:
        """Leave the order with no money taken, and let none be taken later. Can be repeated."""
        await self._books.void(void)

    async def refund(self, payment_id: UUID, new: NewRefund, name: str, beside: Beside | None = None) -> Refund:
        """Give back a part. The same name again is the same refund, whatever became of it the first time. What is
        written `beside` is committed with the note of it."""
        payment = await self._existing(payment_id)
        reference = f"{payment_id}:{name}"
        if (earlier := await repository.find_refund(self._primary, refund_id(payment_id, reference))) is not None:
            row = await repository.refund(self._primary, payment, earlier.id, earlier.amount, earlier.reason, beside)
            return Refund.model_validate(row)
        if payment.status not in ("CAPTURED", "REFUNDED"):
            raise Conflict(f"payment {payment_id} is {payment.status}; only a captured one can be refunded")
        left = payment.captured - payment.refunded
        if new.amount > left:
            raise OverRefund(f"{left} {payment.currency} are left to refund, not {new.amount}")
        return Refund.model_validate(await self._books.give_back(payment, reference, new.amount, new.reason, beside))

    async def read(self, payment_id: UUID) -> Payment:
        return Payment.model_validate(await self._existing(payment_id))

    async def of_order(self, order_id: UUID) -> Payments:
        payment = await repository.find_of_order(self._primary, order_id)
        return Payments(items=[] if payment is None else [Payment.model_validate(payment)])

    async def _existing(self, payment_id: UUID) -> PaymentRow:
        if (payment := await repository.find(self._primary, payment_id)) is None:
            raise NotFound(f"there is no payment {payment_id}")
        return payment
