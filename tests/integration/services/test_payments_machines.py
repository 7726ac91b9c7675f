"""The ledger and payments under any sequence of steps, faults and crashes that hypothesis can think of."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, LiteralString, TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from services.invariants.rules import queries
from services.kit.db import Primary
from services.kit.problem import ProblemError
from services.payments import findings, ledger, repository
from services.payments.comparison import Bounds
from services.payments.ledger import LedgerRefused, Transfer
from services.payments.reconciliation import Reconciliation
from services.payments.schemas import NewPayment, NewRefund, Void
from services.payments.service import PaymentClosed, PaymentService
from tests.integration.services.book_provider import LATE_S, BookProvider, Crash, Trouble

T = TypeVar("T")
QUICK = settings(
    max_examples=10, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
)

BROKEN = queries("payments")
AMOUNTS = st.integers(1, 3000).map(lambda cents: Decimal(cents) / 100)


class OnDatabase(RuleBasedStateMachine):
    """Runs coroutines one after another; after each step the database's own invariants hold."""

    dsn: ClassVar[str]
    checked: ClassVar[dict[str, LiteralString]] = BROKEN

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.primary = Primary(self.dsn, "test")
        self.wait_for(self.primary.__aenter__())
        self.watch = psycopg.connect(self.dsn, autocommit=True)

    def wait_for(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    def teardown(self) -> None:
        self.wait_for(self.primary.__aexit__())
        self.runner.close()
        self.watch.close()

    @invariant()
    def nothing_is_broken(self) -> None:
        for name, query in self.checked.items():
            assert self.watch.execute(query).fetchall() == [], name


@dataclass
class Columns:
    pending: Decimal
    posted: Decimal


class LedgerMachine(OnDatabase):
    """Against a model of two dictionaries: it says what is accepted, and what the columns are."""

    checked: ClassVar[dict[str, LiteralString]] = dict(islice(BROKEN.items(), 2))
    """Those of accounts and transfers: there are no payments here."""
    pending = Bundle("pending")

    def __init__(self) -> None:
        super().__init__()
        self.debits: dict[str, Columns] = {}
        self.credits: dict[str, Columns] = {}
        for found in self.wait_for(ledger.balances(self.primary, "EUR")):
            self.debits[found.code] = Columns(found.debits_pending, found.debits_posted)
            self.credits[found.code] = Columns(found.credits_pending, found.credits_posted)

    async def write(self, transfer: Transfer) -> None:
        with ledger.refusals():
            async with self.primary.transaction() as transaction:
                await ledger.record(transaction, transfer)

    def accepts(self, transfer: Transfer) -> bool:
        try:
            self.wait_for(self.write(transfer))
        except LedgerRefused:
            return False
        return True

    def fits(self, debit: str, credit: str, amount: Decimal) -> bool:
        """Whether the bounds leave room: only what is posted on the other side counts."""
        debited, credited = self.debits[debit], self.credits[credit]
        debit_bound = debit == "provider_clearing" or (
            debited.pending + debited.posted + amount <= self.credits[debit].posted
        )
        credit_bound = credit != "provider_clearing" or (
            credited.pending + credited.posted + amount <= self.debits[credit].posted
        )
        return debit_bound and credit_bound

    @rule(
        accounts=st.permutations(["provider_clearing", "customer_payments", "unowed_receipts"]),
        amount=AMOUNTS,
        waits=st.booleans(),
    )
    def transfer(self, accounts: list[Any], amount: Decimal, waits: bool) -> None:
        debit, credit = accounts[:2]
        wanted = Transfer(uuid4().hex, debit, credit, amount, "EUR", "test", "pending" if waits else "plain")
        fits = self.fits(debit, credit, amount)
        assert self.accepts(wanted) == fits
        if fits:
            for side in (self.debits[debit], self.credits[credit]):
                side.pending += amount if waits else 0
                side.posted += 0 if waits else amount

    @initialize(target=pending, amount=AMOUNTS)
    def begin(self, amount: Decimal) -> Transfer:
        return self.reserved(amount)

    @rule(target=pending, amount=AMOUNTS)
    def reserve(self, amount: Decimal) -> Transfer:
        return self.reserved(amount)

    def reserved(self, amount: Decimal) -> Transfer:
        wanted = Transfer(uuid4().hex, "provider_clearing", "customer_payments", amount, "EUR", "test", "pending")
        assert self.accepts(wanted)
        self.debits[wanted.debit].pending += amount
        self.credits[wanted.credit].pending += amount
        return wanted

    @rule(reserved=consumes(pending), part=st.integers(1, 120), again=st.booleans())
    def post(self, reserved: Transfer, part: int, again: bool) -> None:
        amount = max(Decimal("0.01"), (reserved.amount * part / 100).quantize(Decimal("0.01")))
        fits = amount <= reserved.amount
        assert self.resolves(reserved, "post", amount) == fits
        if fits:
            self.debits[reserved.debit].posted += amount
            self.credits[reserved.credit].posted += amount
        elif again:
            assert self.resolves(reserved, "void", reserved.amount)
        if fits or again:
            self.free(reserved)
            assert not self.resolves(reserved, "void", reserved.amount)

    @rule(reserved=consumes(pending))
    def void(self, reserved: Transfer) -> None:
        assert self.resolves(reserved, "void", reserved.amount)
        self.free(reserved)
        assert not self.resolves(reserved, "post", reserved.amount)

    def resolves(self, reserved: Transfer, kind: Any, amount: Decimal) -> bool:
        return self.accepts(
            Transfer(uuid4().hex, reserved.debit, reserved.credit, amount, "EUR", "test", kind, reserved.id)
        )

    def free(self, reserved: Transfer) -> None:
        self.debits[reserved.debit].pending -= reserved.amount
        self.credits[reserved.credit].pending -= reserved.amount

    @rule(known=pending, more=st.sampled_from([Decimal(0), Decimal("0.01")]))
    def replay(self, known: Transfer, more: Decimal) -> None:
        again = Transfer(known.id, known.debit, known.credit, known.amount + more, known.ledger, known.code, known.kind)
        assert self.accepts(again) == (more == 0)

    @invariant()
    def the_columns_are_the_models(self) -> None:
        for found in self.wait_for(ledger.balances(self.primary, "EUR")):
            assert Columns(found.debits_pending, found.debits_posted) == self.debits[found.code]
            assert Columns(found.credits_pending, found.credits_posted) == self.credits[found.code]


TROUBLES = st.sampled_from([None, None, *Trouble])


class PaymentsMachine(OnDatabase):
    """Requests, faults of the provider and crashes of ours in any order; reconciliation makes it whole in the end."""

    folder: ClassVar[Path]

    def __init__(self) -> None:
        super().__init__()
        self.began = datetime.now(UTC) - timedelta(seconds=1)
        self.provider = BookProvider(self.folder / "book.sqlite")
        self.service = PaymentService(self.primary, self.provider)
        self.known = [uuid4() for _ in range(6)]
        self.voided: set[UUID] = set()
        """Orders whose void was answered."""

    @contextmanager
    def troubled(self, trouble: Trouble | None) -> Iterator[None]:
        """The step may be refused, get no answer, or be the last of its process."""
        self.provider.trouble = trouble
        try:
            yield
        except (ProblemError, Crash):
            pass
        finally:
            self.provider.trouble = None

    @rule(
        number=st.integers(0, 5),
        request=st.sampled_from(["authorise", "capture", "buy", "buy", "refund", "decline", "void"]),
        cents=st.integers(1, 1100),
        trouble=TROUBLES,
    )
    def request(self, number: int, request: str, cents: int, trouble: Trouble | None) -> None:
        """One rule for all requests, as hypothesis leaves whole rules out of most runs."""
        order_id = self.known[number]
        if request == "void":
            self.void(order_id, trouble)
        elif request == "refund":
            self.refund(order_id, Decimal(cents) / 100, trouble)
        else:
            if request != "capture":
                token = "tok_declined" if request == "decline" else "tok_ok"
                self.authorise(order_id, token, None if request == "buy" else trouble)
            if request in ("capture", "buy"):
                self.capture(order_id, trouble)

    def authorise(self, order_id: UUID, token: str, trouble: Trouble | None) -> None:
        wanted = NewPayment(order_id=order_id, amount=Decimal("10.00"), currency="EUR", method="card", token=token)
        if order_id in self.voided:
            with pytest.raises(PaymentClosed):
                self.wait_for(self.service.authorise(wanted))
            return
        with self.troubled(trouble):
            assert self.wait_for(self.service.authorise(wanted)).status in ("AUTHORISED", "CAPTURED")

    def capture(self, order_id: UUID, trouble: Trouble | None) -> None:
        if order_id in self.voided:
            with pytest.raises(PaymentClosed):
                self.wait_for(self.service.capture(order_id))
            return
        with self.troubled(trouble):
            assert self.wait_for(self.service.capture(order_id)).captured == Decimal("10.00")

    def void(self, order_id: UUID, trouble: Trouble | None) -> None:
        with self.troubled(trouble):
            self.wait_for(self.service.void(Void(order_id=order_id, reason="gave up")))
            self.voided.add(order_id)

    def refund(self, order_id: UUID, amount: Decimal, trouble: Trouble | None) -> None:
        """The amount names the refund: the same one again is the same refund."""
        payment = self.wait_for(repository.find_of_order(self.primary, order_id))
        if payment is not None:
            wanted, name = NewRefund(amount=amount, reason="broken"), str(amount)
            with self.troubled(trouble):
                made = self.wait_for(self.service.refund(payment.id, wanted, name))
                again = self.wait_for(self.service.refund(payment.id, wanted, name))
                assert made == again
                after = self.wait_for(repository.find_of_order(self.primary, order_id))
                assert after is not None
                assert payment.refunded <= after.refunded <= min(payment.refunded + amount, payment.captured)

    @rule()
    def what_is_late_happens(self) -> None:
        self.provider.ahead_s += LATE_S

    @rule(trouble=TROUBLES)
    def reconcile(self, trouble: Trouble | None) -> None:
        self.provider.trouble = trouble
        self.compare(timedelta(minutes=2))
        self.provider.trouble = None

    def compare(self, later: timedelta) -> None:
        ahead = timedelta(seconds=self.provider.ahead_s)
        runner = Reconciliation(self.primary, self.provider, Bounds(), lambda: datetime.now(UTC) + ahead + later)
        self.wait_for(runner.run(self.began))

    @invariant()
    def a_voided_payment_took_nothing(self) -> None:
        for order_id in self.voided:
            payment = self.wait_for(repository.find_of_order(self.primary, order_id))
            assert payment is None or payment.captured == payment.refunded

    def teardown(self) -> None:
        """Left alone for a while, both sides agree on every order, and nobody keeps what is not owed."""
        try:
            for _ in range(2):
                self.provider.ahead_s += LATE_S
                self.compare(timedelta(minutes=20))
            self.nothing_is_broken()
            for order_id in self.known:
                self.require_agreement(order_id)
            references = {row.reference for row in self.wait_for(findings.open_findings(self.primary))}
            assert references.isdisjoint(map(str, self.known))
        finally:
            super().teardown()
            self.provider.book.close()

    def require_agreement(self, order_id: UUID) -> None:
        payment = self.wait_for(repository.find_of_order(self.primary, order_id))
        charges = self.wait_for(self.provider.find(str(order_id)))
        live = [charge for charge in charges if charge.live]
        assert payment is None or payment.status != "PENDING"
        if payment is not None and payment.status == "AUTHORISED":
            assert [charge.id for charge in live] == [payment.provider_reference]
        else:
            kept = Decimal(0) if payment is None else payment.captured - payment.refunded
            assert sum((charge.kept for charge in live), Decimal(0)) == kept
            assert len(live) == (1 if kept else 0)
        if order_id in self.voided:
            assert live == []


def test_the_ledger_follows_its_model(payments_dsn: str) -> None:
    LedgerMachine.dsn = payments_dsn
    run_state_machine_as_test(LedgerMachine, settings=QUICK)


def test_payments_stay_whole_whatever_breaks(payments_dsn: str, tmp_path: Path) -> None:
    PaymentsMachine.dsn, PaymentsMachine.folder = payments_dsn, tmp_path
    run_state_machine_as_test(PaymentsMachine, settings=QUICK)


def test_a_void_after_a_refund_that_nobody_noted_ends(payments_dsn: str, tmp_path: Path) -> None:
    PaymentsMachine.dsn, PaymentsMachine.folder = payments_dsn, tmp_path
    payments = PaymentsMachine()
    payments.request(number=0, request="buy", cents=1, trouble=None)
    payments.request(number=0, request="refund", cents=238, trouble=Trouble.CRASH)
    payments.request(number=0, request="void", cents=1, trouble=Trouble.CRASH)
    payments.teardown()


LONG = settings(QUICK, max_examples=300, stateful_step_count=40)


@pytest.mark.long
def test_the_ledger_follows_its_model_for_long(payments_dsn: str) -> None:
    LedgerMachine.dsn = payments_dsn
    run_state_machine_as_test(LedgerMachine, settings=LONG)


@pytest.mark.long
def test_payments_stay_whole_whatever_breaks_for_long(payments_dsn: str, tmp_path: Path) -> None:
    PaymentsMachine.dsn, PaymentsMachine.folder = payments_dsn, tmp_path
    run_state_machine_as_test(PaymentsMachine, settings=LONG)
