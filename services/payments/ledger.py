"""The double-entry ledger: TigerBeetle's accounts and transfers in PostgreSQL. Writes transfers, never balances.

The database holds the rules, whoever writes (migrations/0002_ledger.sql): transfers are append-only, both accounts are
of one ledger, the accounts' columns move in the transfer's transaction and stay within their bounds, and what is pending
is posted or voided once. Here they only get names. An amount is numeric(12, 2), as money is everywhere in the shop and
in its copies: exact, and nothing converts it; every currency that has accounts has two decimals.

    LedgerRefused              the transfer breaks a rule (permanent)
    ├── OtherContents          the id was used for another transfer
    ├── AlreadyResolved        the pending transfer was posted or voided before
    └── PendingExpired         it is too late to post it
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

import psycopg

from services.kit.db import Primary, Transaction
from services.kit.problem import Conflict

Kind = Literal["plain", "pending", "post", "void"]
Account = Literal["provider_clearing", "customer_payments", "unowed_receipts"]


class LedgerRefused(Conflict):
    slug = "ledger-refused"


class OtherContents(LedgerRefused):
    slug = "ledger-other-contents"


class AlreadyResolved(LedgerRefused):
    slug = "ledger-already-resolved"


class PendingExpired(LedgerRefused):
    slug = "ledger-pending-expired"


_REFUSALS: dict[str, tuple[type[LedgerRefused], str]] = {
    "transfers_same_contents": (OtherContents, "a transfer of this id has other contents; choose another id"),
    "transfers_pkey": (OtherContents, "a transfer of this id was made at the same moment; ask again"),
    "transfers_resolved_once": (AlreadyResolved, "the pending transfer was posted or voided before"),
    "transfers_not_expired": (PendingExpired, "the pending transfer has expired; it can only be voided"),
    "transfers_one_ledger": (LedgerRefused, "both accounts must exist in the transfer's ledger"),
    "transfers_pending_exists": (LedgerRefused, "there is no such pending transfer between these accounts"),
    "transfers_within_pending": (LedgerRefused, "no more than what is pending can be posted, and a void takes all"),
    "transfers_two_accounts": (LedgerRefused, "a transfer needs two accounts"),
    "transfers_amount_check": (LedgerRefused, "an amount is more than zero"),
    "accounts_debits_within_credits": (LedgerRefused, "the account's debits would exceed its credits"),
    "accounts_credits_within_debits": (LedgerRefused, "the account's credits would exceed its debits"),
}


@dataclass(frozen=True, slots=True)
class Transfer:
    """`id` is chosen by who asks, so asking again moves nothing. A post or void names what is pending."""

    id: str
    debit: Account
    credit: Account
    amount: Decimal
    ledger: str
    code: str
    kind: Kind = "plain"
    pending_id: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    ledger: str
    code: str
    debits_pending: Decimal
    debits_posted: Decimal
    credits_pending: Decimal
    credits_posted: Decimal


@contextmanager
def refusals() -> Iterator[None]:
    """Within, a rule that the database found broken raises its LedgerRefused.

    Goes around the transaction: statements are pipelined, an error may come as late as the commit.
    """
    try:
        yield
    except psycopg.IntegrityError as error:
        known = _REFUSALS.get(error.diag.constraint_name or "")
        if known is None:
            raise
        refusal, detail = known
        raise refusal(detail) from error


async def record(transaction: Transaction, transfer: Transfer) -> None:
    """Write the transfer; the same one again does nothing. To be called within `refusals`."""
    await transaction.execute(
        """INSERT INTO transfers
               (id, debit_account, credit_account, amount, ledger, code, kind, pending_id, expires_at)
           VALUES (%(id)s, (SELECT id FROM accounts WHERE ledger = %(ledger)s AND code = %(debit)s),
                   (SELECT id FROM accounts WHERE ledger = %(ledger)s AND code = %(credit)s),
                   %(amount)s, %(ledger)s, %(code)s, %(kind)s, %(pending_id)s, %(expires_at)s)""",
        {
            "id": transfer.id,
            "debit": transfer.debit,
            "credit": transfer.credit,
            "amount": transfer.amount,
            "ledger": transfer.ledger,
            "code": transfer.code,
            "kind": transfer.kind,
            "pending_id": transfer.pending_id,
            "expires_at": transfer.expires_at,
        },
    )


async def balances(primary: Primary, ledger: str) -> list[Balance]:
    return await primary.all(
        Balance,
        """SELECT ledger, code, debits_pending, debits_posted, credits_pending, credits_posted
           FROM accounts WHERE ledger = %s ORDER BY id""",
        [ledger],
    )
