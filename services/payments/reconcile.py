"""`python -m services.payments.reconcile`: compare payments with the provider's list, now. Also the job that does so.

    --since TIME         compare everything that changed since then, instead of since the last run
    --findings           only list what is open
    --resolve ID TEXT    close a finding, saying how it was dealt with

Exit status 0: nothing is open; 1: findings are open, or something could not be compared; 2: wrong arguments.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import psycopg
from prometheus_client import Counter, Gauge

from services.kit.client import ServiceClient
from services.kit.db import Primary
from services.kit.settings import load
from services.payments import findings
from services.payments.comparison import Bounds, Outcome
from services.payments.findings import Kind
from services.payments.http_provider import HttpProvider
from services.payments.provider import PaymentProvider, ProviderUnavailable
from services.payments.reconciliation import Reconciliation
from services.payments.settings import ProviderSettings

RUNS = Counter("payments_reconciliation_runs", "runs of the reconciliation with the provider", ["outcome"])
COMPARED = Counter("payments_reconciliation_compared", "orders compared with the provider's list")
NOTED = Counter("payments_reconciliation_noted", "payments that were brought to what the provider did")
GIVEN_BACK = Counter("payments_reconciliation_given_back", "charges undone because nothing was owed")
OPEN = Gauge("payments_reconciliation_findings_open", "findings that wait for a person", ["kind"])
LAST = Gauge("payments_reconciliation_last_success_timestamp_seconds", "when all was compared without an error")

# Any fixed number: the same in all processes of the service.
_LOCK = 4_721_006
logger = logging.getLogger(__name__)


@asynccontextmanager
async def _only_one(dsn: str) -> AsyncIterator[bool]:
    """True when no other process reconciles. The lock is the session's: no transaction stays open meanwhile."""
    async with await psycopg.AsyncConnection.connect(
        dsn, autocommit=True, application_name="payments-reconciliation"
    ) as connection:
        row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])).fetchone()
        yield bool(row and row[0])


async def reconcile(
    dsn: str, primary: Primary, provider: PaymentProvider, since: datetime | None = None, bounds: Bounds | None = None
) -> Outcome | None:
    """One run with its metrics; None when another process is at it. Raises ProviderUnavailable."""
    async with _only_one(dsn) as mine:
        if not mine:
            return None
        try:
            outcome = await Reconciliation(primary, provider, bounds).run(since)
        except ProviderUnavailable:
            RUNS.labels("provider_unavailable").inc()
            raise
        RUNS.labels("partial" if outcome.failed else "complete").inc()
        COMPARED.inc(outcome.compared)
        NOTED.inc(outcome.noted)
        GIVEN_BACK.inc(outcome.given_back)
        still_open = [row.kind for row in await findings.open_findings(primary)]
        for kind in Kind:
            OPEN.labels(kind).set(still_open.count(kind))
        if not outcome.failed:
            LAST.set_to_current_time()
        return outcome


async def keep_reconciling(dsn: str, primary: Primary, provider: PaymentProvider, every_s: float) -> None:
    """Reconcile again and again until cancelled."""
    while True:
        try:
            await reconcile(dsn, primary, provider)
        except ProviderUnavailable:
            logger.warning("the provider's list cannot be read; next try in %.0f s", every_s)
        except Exception:
            logger.exception("payments could not be reconciled")
        await asyncio.sleep(every_s)


async def _run(arguments: argparse.Namespace, settings: ProviderSettings) -> int:
    async with (
        Primary(settings.dsn, "payments") as primary,
        ServiceClient("the payment provider", settings.provider_url, settings.provider_timeout_s) as client,
    ):
        if arguments.resolve:
            finding_id, text = arguments.resolve
            if not await findings.resolve(primary, UUID(finding_id), text):
                print(f"there is no open finding {finding_id}; --findings lists them", file=sys.stderr)
                return 1
            return 0
        failed = 0
        if not arguments.findings:
            outcome = await reconcile(settings.dsn, primary, HttpProvider(client), arguments.since)
            if outcome is None:
                print("another process is reconciling at this moment; try again", file=sys.stderr)
                return 1
            failed = outcome.failed
            print(
                f"{outcome.compared} compared, {outcome.noted} noted, {outcome.given_back} undone"
                f" ({outcome.amount_given_back} given back), {failed} could not be compared"
            )
        rows = await findings.open_findings(primary)
        for row in rows:
            print(f"{row.id}  {row.kind}  {row.reference}  ours {row.ours}  theirs {row.theirs}  {row.detail}")
        return 1 if rows or failed else 0


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError("say the time zone too, as in 2026-01-31T00:00+00:00")
    return moment


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m services.payments.reconcile", description=__doc__.split("\n")[0])
    parser.add_argument("--since", type=_time, metavar="TIME", help="instead of since the last run")
    parser.add_argument("--findings", action="store_true", help="only list what is open")
    parser.add_argument("--resolve", nargs=2, metavar=("ID", "TEXT"), help="close a finding")
    arguments = parser.parse_args(words)
    if arguments.resolve:
        try:
            UUID(arguments.resolve[0])
        except ValueError:
            parser.error(f"{arguments.resolve[0]} is no finding's id; --findings lists them")
    try:
        return asyncio.run(_run(arguments, load(ProviderSettings)))
    except ProviderUnavailable as error:
        print(error.detail, file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
