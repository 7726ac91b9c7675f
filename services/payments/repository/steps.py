"""A payment's steps, each with its transfers and its event in one transaction, and each once, by the status it starts from."""

from datetime import datetime
from uuid import UUID

from services.kit import outbox
from services.kit.db import Primary
from services.payments import ledger
from services.payments.events import PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentVoided
from services.payments.ledger import Transfer
from services.payments.repository.rows import Here, PaymentRow, named


async def authorise(primary: Primary, payment: PaymentRow, charge_id: str, expires_at: datetime) -> PaymentRow | None:
    """PENDING becomes AUTHORISED and its amount pending; None when it is not PENDING any more."""
    with ledger.refusals():
        async with primary.transaction() as transaction:
            changed = await transaction.one(
                PaymentRow,
                """UPDATE payments SET status = 'AUTHORISED', provider_reference = %s, expires_at = %s,
                       updated_at = now()
                   WHERE id = %s AND status = 'PENDING' RETURNING *""",
                [charge_id, expires_at, payment.id],
            )
            if changed is not None:
                await ledger.record(transaction, _transfer(payment, "authorise", "pending", expires_at=expires_at))
                await outbox.tell(transaction, PaymentAuthorised(**named(changed)))
            return changed


async def decline(
    primary: Primary, payment_id: UUID, provider_reference: str | None, failure_code: str
) -> PaymentRow | None:
    """PENDING becomes DECLINED; None when it is not PENDING any more."""
    async with primary.transaction() as transaction:
        changed = await transaction.one(
            PaymentRow,
            """UPDATE payments SET status = 'DECLINED', provider_reference = %s, failure_code = %s, updated_at = now()
               WHERE id = %s AND status = 'PENDING' RETURNING *""",
            [provider_reference, failure_code, payment_id],
        )
        if changed is not None:
            await outbox.tell(transaction, PaymentDeclined(**named(changed), failure_code=failure_code))
        return changed


async def capture(primary: Primary, payment: PaymentRow) -> PaymentRow | None:
    """AUTHORISED becomes CAPTURED and its amount posted; None when it is not AUTHORISED any more.

    The provider has the money by now: when the pending transfer has expired meanwhile, it is voided and the amount
    posted by a transfer of its own.
    """
    with ledger.refusals():
        async with primary.transaction() as transaction:
            changed = await transaction.one(
                PaymentRow,
                """UPDATE payments SET status = 'CAPTURED', captured = amount, updated_at = now()
                   WHERE id = %s AND status = 'AUTHORISED' RETURNING *""",
                [payment.id],
            )
            if changed is None:
                return None
            # A margin, as the ledger reads the clock a moment later.
            late = await transaction.one(
                Here, "SELECT %s <= clock_timestamp() + interval '5 seconds' AS here", [changed.expires_at]
            )
            if late is not None and late.here:
                await ledger.record(transaction, _transfer(payment, "void", "void"))
                await ledger.record(transaction, _transfer(payment, "capture-late", "plain"))
            else:
                await ledger.record(transaction, _transfer(payment, "capture", "post"))
            await outbox.tell(transaction, PaymentCaptured(**named(changed)))
            return changed


async def void(primary: Primary, payment: PaymentRow, failure_code: str | None = None) -> PaymentRow | None:
    """`payment`, PENDING or AUTHORISED as it was read, becomes VOIDED, and nothing is pending; None when it changed."""
    with ledger.refusals():
        async with primary.transaction() as transaction:
            changed = await transaction.one(
                PaymentRow,
                """UPDATE payments SET status = 'VOIDED', failure_code = %s, updated_at = now()
                   WHERE id = %s AND status = %s AND status IN ('PENDING', 'AUTHORISED') RETURNING *""",
                [failure_code, payment.id, payment.status],
            )
            if changed is not None:
                if payment.status == "AUTHORISED":
                    await ledger.record(transaction, _transfer(payment, "void", "void"))
                await outbox.tell(transaction, PaymentVoided(**named(changed)))
            return changed


def _transfer(payment: PaymentRow, step: str, kind: ledger.Kind, *, expires_at: datetime | None = None) -> Transfer:
    return Transfer(
        id=f"{payment.order_id}:{step}",
        debit="provider_clearing",
        credit="customer_payments",
        amount=payment.amount,
        ledger=payment.currency,
        code="payment",
        kind=kind,
        pending_id=f"{payment.order_id}:authorise" if kind in ("post", "void") else None,
        expires_at=expires_at,
    )
