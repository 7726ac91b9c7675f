"""What the sandbox provider remembers: charges and refunds by reference, in one SQLite file that survives a restart."""

import sqlite3
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from services.kit.ids import uuid7
from services.kit.problem import Conflict, NotFound

_TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS charge (
    reference TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, amount TEXT NOT NULL, currency TEXT NOT NULL,
    status TEXT NOT NULL, failure_code TEXT);
CREATE TABLE IF NOT EXISTS refund (
    reference TEXT PRIMARY KEY, id TEXT NOT NULL, charge_id TEXT NOT NULL REFERENCES charge (id), amount TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS refund_charge_id ON refund (charge_id);
"""


@dataclass(frozen=True, slots=True)
class Charge:
    reference: str
    id: str
    amount: str
    currency: str
    status: str
    failure_code: str | None


@dataclass(frozen=True, slots=True)
class Refund:
    reference: str
    id: str
    charge_id: str
    amount: str


class Book:
    """Used from one thread; every method is one transaction."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._connection.executescript(_TABLES)

    def close(self) -> None:
        self._connection.close()

    def charge(self, reference: str, amount: Decimal, currency: str, failure_code: str | None) -> tuple[Charge, bool]:
        """The charge under `reference`, and whether this call made it. Raises Conflict when it is of another amount."""
        status = "declined" if failure_code else "captured"
        made = self._connection.execute(
            "INSERT INTO charge VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (reference) DO NOTHING",
            [reference, f"ch_{uuid7().hex}", str(amount), currency, status, failure_code],
        ).rowcount
        charge = self.charges(reference)[0]
        if (Decimal(charge.amount), charge.currency) != (amount, currency):
            raise Conflict(f"reference {reference} was used for another amount")
        return charge, bool(made)

    def charges(self, reference: str) -> list[Charge]:
        rows = self._connection.execute("SELECT * FROM charge WHERE reference = ?", [reference])
        return [Charge(*row) for row in rows]

    def refund(self, charge_id: str, reference: str, amount: Decimal) -> Refund:
        """The refund under `reference`, made now unless it was before. Raises NotFound and Conflict (over-refund)."""
        earlier = self._connection.execute("SELECT * FROM refund WHERE reference = ?", [reference]).fetchone()
        if earlier is not None:
            return Refund(*earlier)
        charge = self._connection.execute("SELECT * FROM charge WHERE id = ?", [charge_id]).fetchone()
        if charge is None or Charge(*charge).status != "captured":
            raise NotFound(f"there is no captured charge {charge_id}")
        before = self._connection.execute("SELECT amount FROM refund WHERE charge_id = ?", [charge_id]).fetchall()
        if sum((Decimal(value) for (value,) in before), amount) > Decimal(Charge(*charge).amount):
            raise Conflict("refunds would exceed the charge")
        refund = Refund(reference, f"re_{uuid7().hex}", charge_id, str(amount))
        self._connection.execute(
            "INSERT INTO refund VALUES (?, ?, ?, ?)", [refund.reference, refund.id, refund.charge_id, refund.amount]
        )
        return refund
