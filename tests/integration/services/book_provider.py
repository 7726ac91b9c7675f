"""The sandbox provider's book behind our own port, without a process in between, and with faults that a test names."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from services.kit.problem import Conflict
from services.payments.provider import Charge, ChargeStatus, ProviderRefund, ProviderUnavailable, RefundRefused
from services.payments.sandbox import book
from services.payments.sandbox.book import Book, InProgress

T = TypeVar("T")


LATE_S = 60.0


class Trouble(StrEnum):
    """What becomes of the next command."""

    UNREACHED = "not done, no answer"
    LOST = "done, no answer"
    LATE = "done later, no answer"
    TWICE = "charged twice"
    CRASH = "done, and our process dies before it notes it"


class Crash(Exception):
    """Our process is gone: nobody may catch this."""


class BookProvider:
    """A PaymentProvider. `trouble` strikes once, at the next command; what is late is done once `ahead_s` is raised."""

    def __init__(self, file: Path) -> None:
        self.ahead_s = 0.0
        self.book = Book(file, lambda: time.time() + self.ahead_s)
        self.trouble: Trouble | None = None

    async def authorise(self, order_id: UUID, amount: Decimal, currency: str, token: str) -> Charge:
        declined = "card_declined" if token == "tok_declined" else None
        times = 2 if self.trouble is Trouble.TWICE else 1
        values = {"reference": str(order_id), "amount": str(amount), "currency": currency, "token": token}
        return _charge(
            self._command(
                "authorise",
                str(order_id),
                lambda: self.book.authorise(**values, failure_code=declined, times=times),
                {**values, "failure_code": declined},
            )
        )

    async def capture(self, charge_id: str) -> Charge:
        return self._end("capture", charge_id, lambda: self.book.capture(charge_id))

    async def void(self, charge_id: str) -> Charge:
        return self._end("void", charge_id, lambda: self.book.void(charge_id))

    async def refund(self, charge_id: str, reference: str, amount: Decimal) -> Decimal:
        values = {"charge_id": charge_id, "reference": reference, "amount": str(amount)}
        try:
            made = self._command("refund", reference, lambda: self.book.refund(**values), values)
        except Conflict as error:
            raise RefundRefused(error.detail) from error
        return Decimal(made.amount)

    async def find(self, reference: str) -> list[Charge]:
        return [_charge(found) for found in self.book.under(reference)]

    async def changed(self, since: datetime) -> AsyncIterator[Charge]:
        for found in self.book.changed(since.timestamp(), (-1.0, ""), 10_000):
            yield _charge(found)

    def _end(self, command: str, charge_id: str, do: Callable[[], book.Charge]) -> Charge:
        try:
            return _charge(self._command(command, charge_id, do, {"charge_id": charge_id}))
        except Conflict:
            return _charge(self.book.charge(charge_id))

    def _command(self, command: str, about: str, do: Callable[[], T], arguments: Mapping[str, str | None]) -> T:
        try:
            self.book.require_idle(command, about)
        except InProgress as error:
            raise ProviderUnavailable from error
        trouble, self.trouble = self.trouble, None
        if trouble is Trouble.UNREACHED:
            raise ProviderUnavailable
        if trouble is Trouble.LATE:
            self.book.put_off(LATE_S, command, about, **arguments)
            raise ProviderUnavailable
        done = do()
        if trouble is Trouble.LOST:
            raise ProviderUnavailable
        if trouble is Trouble.CRASH:
            raise Crash
        return done


def _charge(found: book.Charge) -> Charge:
    return Charge(
        found.id,
        found.reference,
        ChargeStatus(found.status),
        Decimal(found.amount),
        found.currency,
        found.failure_code,
        datetime.fromtimestamp(found.updated_at, UTC),
        tuple(ProviderRefund(refund.reference, Decimal(refund.amount)) for refund in found.refunds),
    )
