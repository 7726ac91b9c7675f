"""Refunds that somebody asks for: each once by its Idempotency-Key, whatever is lost, repeated or killed.

The key names the refund at the provider and in our books. Who asks again after a lost answer asks for the same refund,
also after the key was given back, and after reconciliation has noted what the provider did. So a claim that was left
behind by a process that died can be taken over without harm.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import UUID

from starlette.responses import Response

from services.kit import idempotency
from services.kit.db import Primary, Transaction
from services.kit.http import REQUEST_TIMEOUT_S
from services.payments.repository import RefundRow
from services.payments.schemas import NewRefund, Refund
from services.payments.service import PaymentService

# No request lives longer; with a margin, as the claim's time is the database's.
_ABANDONED_AFTER = timedelta(seconds=REQUEST_TIMEOUT_S + 15)


class Refunds:
    def __init__(self, primary: Primary, payments: PaymentService) -> None:
        self._primary = primary
        self._payments = payments

    async def make(self, payment_id: UUID, new: NewRefund, once: idempotency.Once) -> Response:
        """The refund, or the stored reply. No transaction is open while the provider is asked: the key is claimed
        before, and settled together with the note of the refund. `once` has a key."""
        key = once.key
        assert key is not None
        if (stored := await self._claim(once, key)) is not None:
            return stored

        async def settle(transaction: Transaction, row: RefundRow) -> None:
            await idempotency.settle(transaction, key, _reply(Refund.model_validate(row)))

        try:
            made = await self._payments.refund(payment_id, new, _name(key), settle)
        except BaseException:
            await idempotency.forget(self._primary, key)
            raise
        return _reply(made).response()

    async def _claim(self, once: idempotency.Once, key: idempotency.Key) -> Response | None:
        """As `once.claim`; a claim that no request can be working on any more is taken over."""
        try:
            async with self._primary.transaction() as transaction:
                return await once.claim(transaction)
        except idempotency.InFlight:
            await idempotency.forget(self._primary, key, datetime.now(UTC) - _ABANDONED_AFTER)
            async with self._primary.transaction() as transaction:
                return await once.claim(transaction)


def _reply(refund: Refund) -> idempotency.Reply:
    return idempotency.reply(201, refund)


def _name(key: idempotency.Key) -> str:
    """What the provider knows the refund by, within its payment."""
    return hashlib.sha256("\0".join((key.principal, key.key, key.fingerprint)).encode()).hexdigest()[:32]
