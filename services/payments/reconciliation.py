"""Comparing our payments with the provider's list, and making them agree where that is safe.

Decides what has to be looked at: what changed on either side since the last complete run, what has been under way for
too long, and what is still an open finding. `comparison` looks at it. Everything here can be repeated.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from services.kit.db import Primary
from services.payments import findings, repository
from services.payments.comparison import Bounds, Comparison, Outcome
from services.payments.findings import FindingRow
from services.payments.judgement import order_id_of, says_the_same
from services.payments.provider import Charge, PaymentProvider, ProviderUnavailable

_AT_ONCE = 500

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _OrderId:
    order_id: UUID


@dataclass(frozen=True, slots=True)
class _Seen:
    seen_until: datetime


class Reconciliation:
    def __init__(
        self,
        primary: Primary,
        provider: PaymentProvider,
        bounds: Bounds | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._primary = primary
        self._provider = provider
        self._bounds = bounds or Bounds()
        self._clock = clock

    async def run(self, since: datetime | None = None) -> Outcome:
        """Compare what changed since the last run (or `since`), and what is open. Raises ProviderUnavailable.

        A reference whose comparison fails is logged and counted, and compared again next time.
        """
        started = self._clock()
        comparison = Comparison(self._primary, self._provider, self._bounds, self._clock)
        outcome = comparison.outcome
        asked = since is not None
        since = since or await self._seen_until()
        listed: dict[str, list[Charge]] = {}
        async for charge in self._provider.changed(since):
            listed.setdefault(charge.reference, []).append(charge)
        open_rows = await findings.open_findings(self._primary)
        changed = {*listed, *await self._changed(since)}
        unfinished = {*await self._left_behind(), *(row.reference for row in open_rows)}
        outcome.compared = len(changed | unfinished)
        for reference in sorted(changed - await self._equal(listed) | unfinished):
            try:
                await self._compare(reference, [row for row in open_rows if row.reference == reference], comparison)
            except ProviderUnavailable:
                outcome.failed += 1
                logger.warning("the provider did not answer about %s; it is compared again next time", reference)
            except Exception:
                outcome.failed += 1
                logger.exception("%s could not be compared", reference)
        if not outcome.failed and not asked:
            # What was too fresh to be judged, or committed late, is compared once more.
            await self._remember(started - 2 * self._bounds.asked_after)
        return outcome

    async def _equal(self, listed: dict[str, list[Charge]]) -> set[str]:
        """The references of the list that need no closer look: one charge, and our payment says the same."""
        ids = {reference: order_id for reference in listed if (order_id := order_id_of(reference)) is not None}
        payments = {
            str(payment.order_id): payment for payment in await repository.of_orders(self._primary, list(ids.values()))
        }
        return {
            reference
            for reference, payment in payments.items()
            if len(listed[reference]) == 1 and says_the_same(payment, listed[reference][0])
        }

    async def _compare(self, reference: str, open_rows: list[FindingRow], comparison: Comparison) -> None:
        """Compare one reference, report what is left of it, and close the findings that are gone."""
        found = await comparison.compare(reference)
        for finding in found:
            if await findings.report(self._primary, finding):
                logger.error("reconciliation: %s %s: %s", finding.kind, reference, finding.detail)
        kinds = {finding.kind for finding in found}
        for row in open_rows:
            if row.kind not in kinds:
                await findings.resolve(self._primary, row.id, "gone when it was compared again")

    async def _changed(self, since: datetime) -> list[str]:
        rows = await self._primary.all(
            _OrderId, "SELECT order_id FROM payments WHERE updated_at >= %s ORDER BY updated_at", [since]
        )
        return [str(row.order_id) for row in rows]

    async def _left_behind(self) -> list[str]:
        """Orders with a payment or a void under way for longer than a request takes, or authorised for too long."""
        rows = await self._primary.all(
            _OrderId,
            """(SELECT order_id FROM payments WHERE status = 'PENDING' AND updated_at < %(old)s
                ORDER BY updated_at LIMIT %(limit)s)
               UNION (SELECT order_id FROM payments WHERE status = 'AUTHORISED' AND expires_at <= %(now)s
                      LIMIT %(limit)s)
               UNION (SELECT order_id FROM payments JOIN service.voids USING (order_id)
                      WHERE status IN ('PENDING', 'AUTHORISED', 'CAPTURED') AND voids.at < %(old)s LIMIT %(limit)s)""",
            {"old": self._clock() - self._bounds.asked_after, "now": self._clock(), "limit": _AT_ONCE},
        )
        return [str(row.order_id) for row in rows]

    async def _seen_until(self) -> datetime:
        row = await self._primary.one(_Seen, "SELECT seen_until FROM service.reconciliation_progress")
        return datetime.fromtimestamp(0, UTC) if row is None else row.seen_until

    async def _remember(self, moment: datetime) -> None:
        await self._primary.one(
            _Seen,
            """INSERT INTO service.reconciliation_progress (seen_until) VALUES (%s)
               ON CONFLICT (id) DO UPDATE SET seen_until = greatest(
                   reconciliation_progress.seen_until, excluded.seen_until) RETURNING seen_until""",
            [moment],
        )
