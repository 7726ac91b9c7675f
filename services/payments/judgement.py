"""What is to be said of a payment and its charges at the provider. Looks at both as they were read and changes nothing."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from services.payments.findings import Finding, Kind
from services.payments.provider import Charge, ChargeStatus
from services.payments.repository import PaymentRow


def of_another_amount(payment: PaymentRow, charges: list[Charge]) -> list[Finding]:
    """The first charge that is not of the payment's amount and currency: nothing is mended then."""
    for charge in charges:
        if (charge.amount, charge.currency) != (payment.amount, payment.currency):
            detail = f"the provider's charge is of {charge.amount} {charge.currency}, the payment of {payment.currency}"
            reference = str(payment.order_id)
            return [Finding(Kind.AMOUNT_MISMATCH, reference, detail, charge.id, payment.amount, charge.amount)]
    return []


def disagreement(payment: PaymentRow, own: Charge | None, fresh: Callable[[datetime], bool]) -> list[Finding]:
    """What is left to say about a payment that took money. `fresh` says whether a change is too new to be judged."""
    if payment.status not in ("AUTHORISED", "CAPTURED", "REFUNDED") or fresh(payment.updated_at):
        return []
    reference = str(payment.order_id)
    if own is None:
        detail = f"we have an {payment.status} payment, the provider does not know its charge"
        return [
            Finding(Kind.UNKNOWN_TO_PROVIDER, reference, detail, payment.provider_reference, payment.captured, None)
        ]
    if payment.status == "AUTHORISED" or fresh(own.updated_at):
        return []
    if own.status != ChargeStatus.CAPTURED:
        detail = f"we captured it, the provider says {own.status}"
        return [Finding(Kind.NOT_CAPTURED, reference, detail, own.id, payment.captured, Decimal(0))]
    refunded = own.amount - own.kept
    if refunded != payment.refunded:
        detail = "we and the provider gave back different amounts"
        return [Finding(Kind.REFUND_MISMATCH, reference, detail, own.id, payment.refunded, refunded)]
    return []


def order_id_of(reference: str) -> UUID | None:
    """The order that a charge's reference names; None when it names none, as ours are all ids in their usual spelling."""
    try:
        order_id = UUID(reference)
    except ValueError:
        return None
    return order_id if str(order_id) == reference else None


def says_the_same(payment: PaymentRow, charge: Charge) -> bool:
    """Whether the payment and its one charge need no closer look."""
    same = {
        "AUTHORISED": ChargeStatus.AUTHORISED,
        "CAPTURED": ChargeStatus.CAPTURED,
        "REFUNDED": ChargeStatus.CAPTURED,
        "DECLINED": ChargeStatus.DECLINED,
        "VOIDED": ChargeStatus.VOIDED,
    }
    return (
        same.get(payment.status) == charge.status
        and payment.provider_reference == charge.id
        and (payment.amount, payment.currency) == (charge.amount, charge.currency)
        and payment.refunded == sum((refund.amount for refund in charge.refunds), Decimal(0))
    )
