"""Reconciliation with the provider's list: what is safe is mended, money that nobody owes goes back, the rest is said."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prometheus_client import REGISTRY

from services.invariants.rules import queries
from services.kit.db import Primary
from services.kit.problem import Conflict
from services.payments import findings, reconcile, repository
from services.payments.comparison import Bounds, Outcome
from services.payments.findings import Kind
from services.payments.provider import ProviderUnavailable
from services.payments.reconciliation import Reconciliation
from services.payments.repository import PaymentRow
from services.payments.schemas import NewPayment, NewRefund, Void
from services.payments.service import PaymentClosed, PaymentService
from tests.integration.services.book_provider import LATE_S, BookProvider, Crash, Trouble

BROKEN = queries("payments")


@dataclass(frozen=True)
class _Count:
    rows: int


TEN = Decimal("10.00")


@dataclass
class Scene:
    """Our side on a database of its own, the provider's in this process."""

    dsn: str = field(repr=False)
    primary: Primary
    provider: BookProvider
    service: PaymentService
    now: datetime

    async def pay(self, order_id: UUID, trouble: Trouble | None = None) -> None:
        self.provider.trouble = trouble
        await self.service.authorise(
            NewPayment(order_id=order_id, amount=TEN, currency="EUR", method="card", token="tok_ok")
        )

    async def paid(self) -> UUID:
        """The order of a captured payment."""
        order_id = uuid4()
        await self.pay(order_id)
        await self.service.capture(order_id)
        return order_id

    async def void(self, order_id: UUID) -> None:
        await self.service.void(Void(order_id=order_id, reason="gave up"))

    async def payment(self, order_id: UUID) -> PaymentRow:
        row = await repository.find_of_order(self.primary, order_id)
        assert row is not None
        return row

    def charges(self, order_id: UUID) -> list[tuple[str, list[str]]]:
        """(status, refunds) of the order's charges at the provider."""
        return [
            (charge.status, [refund.amount for refund in charge.refunds])
            for charge in self.provider.book.under(str(order_id))
        ]

    async def reconcile(self, *, later: timedelta = timedelta(minutes=2)) -> Outcome:
        """One run over everything, at a time when nothing is fresh any more."""
        runner = Reconciliation(self.primary, self.provider, Bounds(), lambda: self.now + later)
        return await runner.run(datetime.fromtimestamp(0, UTC))


Test = Callable[[Scene], Awaitable[None]]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The provider's memory goes with the module's database: each knows what the other does."""
    return tmp_path_factory.mktemp("provider") / "book.sqlite"


@pytest.fixture
def run(payments_dsn: str, book: Path) -> Callable[[Test], None]:
    """Runs a test's coroutine on a scene; every invariant holds afterwards."""

    async def staged(test: Test) -> None:
        provider = BookProvider(book)
        async with Primary(payments_dsn, "test") as primary:
            scene = Scene(payments_dsn, primary, provider, PaymentService(primary, provider), datetime.now(UTC))
            await test(scene)
            for name, query in BROKEN.items():
                assert await primary.all(_Count, f"SELECT count(*) AS rows FROM ({query}) broken") == [_Count(0)], name
        provider.book.close()

    return lambda test: asyncio.run(staged(test))


Run = Callable[[Test], None]


def found(outcome: Outcome, reference: object) -> list[Kind]:
    return [finding.kind for finding in outcome.findings if finding.reference == str(reference)]


def test_an_agreeing_pair_is_left_alone(run: Run) -> None:
    async def test(scene: Scene) -> None:
        order_id = await scene.paid()
        before = await scene.payment(order_id)
        outcome = await scene.reconcile()
        assert (outcome.noted, outcome.given_back, found(outcome, order_id)) == (0, 0, [])
        assert await scene.payment(order_id) == before

    run(test)


@pytest.mark.parametrize("trouble", [Trouble.LOST, Trouble.CRASH])
def test_an_authorisation_that_we_did_not_hear_of_is_noted(run: Run, trouble: Trouble) -> None:
    async def test(scene: Scene) -> None:
        order_id = uuid4()
        with pytest.raises((ProviderUnavailable, Crash)):
            await scene.pay(order_id, trouble)
        assert (await scene.payment(order_id)).status == "PENDING"
        await scene.reconcile(later=timedelta(0))
        assert (await scene.payment(order_id)).status == "PENDING", "a request may still be at it"
        await scene.reconcile()
        assert (await scene.payment(order_id)).status == "AUTHORISED"

    run(test)


@pytest.mark.parametrize("trouble", [Trouble.LOST, Trouble.CRASH])
def test_a_capture_that_we_did_not_hear_of_is_noted(run: Run, trouble: Trouble) -> None:
    async def test(scene: Scene) -> None:
        order_id = uuid4()
        await scene.pay(order_id)
        scene.provider.trouble = trouble
        with pytest.raises((ProviderUnavailable, Crash)):
            await scene.service.capture(order_id)
        assert (await scene.reconcile()).noted == 1
        payment = await scene.payment(order_id)
        assert (payment.status, payment.captured) == ("CAPTURED", TEN)

    run(test)


def test_a_refund_that_we_did_not_hear_of_is_noted(run: Run) -> None:
    async def test(scene: Scene) -> None:
        order_id = await scene.paid()
        payment = await scene.payment(order_id)
        scene.provider.trouble = Trouble.CRASH
        with pytest.raises(Crash):
            await scene.service.refund(payment.id, NewRefund(amount=Decimal("4.00"), reason="broken"), "one")
        await scene.reconcile()
        assert (await scene.payment(order_id)).refunded == Decimal("4.00")
        await scene.void(order_id)
        assert scene.charges(order_id) == [("captured", ["4.00", "6.00"])]

    run(test)


@pytest.mark.parametrize("trouble", [Trouble.LOST, Trouble.CRASH])
def test_a_refund_whose_answer_was_lost_is_made_once_when_asked_again(run: Run, trouble: Trouble) -> None:
    async def test(scene: Scene) -> None:
        order_id = await scene.paid()
        payment, wanted = await scene.payment(order_id), NewRefund(amount=Decimal("4.00"), reason="broken")
        scene.provider.trouble = trouble
        with pytest.raises((ProviderUnavailable, Crash)):
            await scene.service.refund(payment.id, wanted, "one")
        await scene.service.refund(payment.id, wanted, "one")
        assert scene.charges(order_id) == [("captured", ["4.00"])]
        assert (await scene.payment(order_id)).refunded == Decimal("4.00")

    run(test)


def test_a_refund_that_reconciliation_noted_is_not_made_again_when_asked_again(run: Run) -> None:
    async def test(scene: Scene) -> None:
        order_id = await scene.paid()
        payment, wanted = await scene.payment(order_id), NewRefund(amount=Decimal("4.00"), reason="broken")
        scene.provider.trouble = Trouble.LOST
        with pytest.raises(ProviderUnavailable):
            await scene.service.refund(payment.id, wanted, "one")
        await scene.reconcile()
        assert (await scene.service.refund(payment.id, wanted, "one")).amount == Decimal("4.00")
        await scene.service.refund(payment.id, NewRefund(amount=Decimal("3.00"), reason="broken"), "two")
        assert scene.charges(order_id) == [("captured", ["4.00", "3.00"])]
        assert (await scene.payment(order_id)).refunded == Decimal("7.00")

    run(test)


@pytest.mark.parametrize("captured", [False, True])
def test_a_success_that_comes_after_the_void_goes_back(run: Run, captured: bool) -> None:
    async def test(scene: Scene) -> None:
        order_id = uuid4()
        with pytest.raises(ProviderUnavailable):
            await scene.pay(order_id, Trouble.LATE)
        await scene.void(order_id)
        assert (await scene.payment(order_id)).status == "VOIDED"
        assert scene.charges(order_id) == []
        scene.provider.ahead_s = LATE_S
        assert scene.charges(order_id) == [("authorised", [])]
        if captured:
            scene.provider.book.capture(scene.provider.book.under(str(order_id))[0].id)
        outcome = await scene.reconcile()
        assert outcome.given_back == 1
        assert outcome.amount_given_back == (TEN if captured else 0)
        assert scene.charges(order_id) == [("captured", ["10.00"]) if captured else ("voided", [])]
        payment = await scene.payment(order_id)
        assert (payment.status, payment.captured) == ("VOIDED", Decimal(0))
        assert (await scene.reconcile()).given_back == 0, "it goes back once"

    run(test)


def test_a_success_for_an_order_that_was_closed_before_it_had_a_payment_goes_back(run: Run) -> None:
    async def test(scene: Scene) -> None:
        order_id = uuid4()
        await scene.void(order_id)
        scene.provider.book.authorise(str(order_id), "10.00", "EUR", "tok_ok")
        await scene.reconcile()
        assert scene.charges(order_id) == [("voided", [])]

    run(test)


def test_a_crash_between_giving_back_and_noting_it_still_reaches_the_ledger(run: Run) -> None:
    async def test(scene: Scene) -> None:
        order_id = uuid4()
        await scene.void(order_id)
        charge = scene.provider.book.authorise(str(order_id), "10.00", "EUR", "tok_ok")
        scene.provider.book.capture(charge.id)
        scene.provider.trouble = Trouble.CRASH
        assert (await scene.reconcile()).failed == 1
        await scene.reconcile()
        rows = await scene.primary.all(
            _Count, "SELECT count(*) AS rows FROM transfers WHERE id LIKE %s", [f"{charge.id}:unowed:%"]
        )
        assert rows == [_Count(2)]

    run(test)


def test_the_second_of_two_charges_for_one_order_goes_back(run: Run) -> None:
    async def test(scene: Scene) -> None:
        order_id = uuid4()
        await scene.pay(order_id, Trouble.TWICE)
        await scene.service.capture(order_id)
        assert scene.charges(order_id) == [("captured", []), ("authorised", [])]
        await scene.reconcile()
        assert scene.charges(order_id) == [("captured", []), ("voided", [])]
        assert (await scene.payment(order_id)).status == "CAPTURED"

    run(test)


@pytest.mark.parametrize("step", ["authorised", "captured"])
def test_a_void_that_broke_half_way_is_finished(run: Run, step: str) -> None:
    async def test(scene: Scene) -> None:
        order_id = uuid4()
        await scene.pay(order_id)
        if step == "captured":
            await scene.service.capture(order_id)
        scene.provider.trouble = Trouble.UNREACHED
        with pytest.raises(ProviderUnavailable):
            await scene.void(order_id)
        with pytest.raises(PaymentClosed):
            await scene.service.capture(order_id)
        outcome = await scene.reconcile()
        assert (await scene.payment(order_id)).status == ("REFUNDED" if step == "captured" else "VOIDED")
        assert (outcome.given_back, found(outcome, order_id)) == (0, [])

    run(test)


def test_a_pending_payment_that_the_provider_never_got_is_voided_after_a_while(run: Run) -> None:
    async def test(scene: Scene) -> None:
        order_id = uuid4()
        with pytest.raises(ProviderUnavailable):
            await scene.pay(order_id, Trouble.UNREACHED)
        await scene.reconcile()
        assert (await scene.payment(order_id)).status == "PENDING"
        await scene.reconcile(later=timedelta(minutes=16))
        assert (await scene.payment(order_id)).status == "VOIDED"

    run(test)


def test_an_authorisation_that_nobody_captured_in_time_is_let_go(run: Run) -> None:
    async def test(scene: Scene) -> None:
        order_id = uuid4()
        await scene.pay(order_id)
        await scene.reconcile(later=timedelta(days=8))
        assert (await scene.payment(order_id)).status == "VOIDED"
        assert scene.charges(order_id) == [("voided", [])]

    run(test)


def test_a_charge_that_we_do_not_know_is_reported_and_left_alone(run: Run) -> None:
    async def test(scene: Scene) -> None:
        for reference in (str(uuid4()), f"somebody else's {uuid4()}"):
            charge = scene.provider.book.authorise(reference, "7.00", "EUR", "tok_ok")
            assert found(await scene.reconcile(later=timedelta(0)), reference) == [], "its payment may be on its way"
            assert found(await scene.reconcile(), reference) == [Kind.UNKNOWN_CHARGE]
            assert found(await scene.reconcile(), reference) == [Kind.UNKNOWN_CHARGE]
            [row] = [row for row in await findings.open_findings(scene.primary) if row.reference == reference]
            assert (row.charge_id, row.theirs, row.ours) == (charge.id, Decimal("7.00"), None)
            scene.provider.book.void(charge.id)
            await scene.reconcile()
            assert reference not in {row.reference for row in await findings.open_findings(scene.primary)}

    run(test)


def test_a_capture_that_the_provider_does_not_know_is_reported(run: Run, tmp_path: Path) -> None:
    async def test(scene: Scene) -> None:
        elsewhere = BookProvider(tmp_path / "elsewhere.sqlite")
        service, order_id = PaymentService(scene.primary, elsewhere), uuid4()
        await service.authorise(
            NewPayment(order_id=order_id, amount=TEN, currency="EUR", method="card", token="tok_ok")
        )
        await service.capture(order_id)
        before = await scene.payment(order_id)
        assert found(await scene.reconcile(), order_id) == [Kind.UNKNOWN_TO_PROVIDER]
        assert await scene.payment(order_id) == before
        [row] = [row for row in await findings.open_findings(scene.primary) if row.reference == str(order_id)]
        assert await findings.resolve(scene.primary, row.id, "the provider's mistake, booked by hand")
        assert not await findings.resolve(scene.primary, row.id, "again")

    run(test)


def test_amounts_that_differ_are_reported_and_left_alone(run: Run) -> None:
    async def test(scene: Scene) -> None:
        order_id = uuid4()
        scene.provider.book.authorise(str(order_id), "9.00", "EUR", "tok_ok")
        with pytest.raises(Conflict):
            await scene.pay(order_id)
        outcome = await scene.reconcile()
        assert found(outcome, order_id) == [Kind.AMOUNT_MISMATCH]
        [finding] = [finding for finding in outcome.findings if finding.reference == str(order_id)]
        assert (finding.ours, finding.theirs) == (TEN, Decimal("9.00"))
        assert (await scene.payment(order_id)).status == "PENDING"

    run(test)


def test_a_refund_that_the_provider_did_not_make_is_reported(run: Run) -> None:
    async def test(scene: Scene) -> None:
        order_id = await scene.paid()
        await repository.refund(scene.primary, await scene.payment(order_id), uuid4(), TEN, "by hand")
        outcome = await scene.reconcile()
        assert found(outcome, order_id) == [Kind.REFUND_MISMATCH]

    run(test)


def test_one_process_at_a_time_reconciles_and_says_so_in_its_metrics(run: Run) -> None:
    async def test(scene: Scene) -> None:
        scene.provider.book.authorise(f"stray {uuid4()}", "7.00", "EUR", "tok_ok")
        bounds = Bounds(asked_after=timedelta(0))
        async with reconcile._only_one(scene.dsn) as mine:
            assert mine
            assert await reconcile.reconcile(scene.dsn, scene.primary, scene.provider, bounds=bounds) is None
        assert await reconcile.reconcile(scene.dsn, scene.primary, scene.provider, bounds=bounds) is not None
        labels = {"kind": Kind.UNKNOWN_CHARGE.value}
        assert (REGISTRY.get_sample_value("payments_reconciliation_findings_open", labels) or 0) >= 1
        assert (REGISTRY.get_sample_value("payments_reconciliation_last_success_timestamp_seconds") or 0) > 0

    run(test)


def test_the_list_is_read_from_where_the_last_run_ended(run: Run) -> None:
    async def test(scene: Scene) -> None:
        old = [await scene.paid() for _ in range(3)]
        runner = Reconciliation(scene.primary, scene.provider, clock=lambda: scene.now + timedelta(hours=1))
        first = await runner.run()
        assert first.failed == 0
        assert first.compared - (await runner.run()).compared >= len(old)
        assert {(await scene.payment(order_id)).status for order_id in old} == {"CAPTURED"}

    run(test)
