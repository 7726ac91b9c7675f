"""What the sandbox provider remembers: charges, refunds and what it will do later, in one SQLite file.

A charge is authorised or declined, and from authorised captured or voided. A reference is charged once, unless the fault
`twice` is asked for. A command that was put off is done at the first look into the book after it is due.
"""

import json
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from services.kit.ids import uuid7
from services.kit.problem import Conflict, NotFound, Unavailable
from services.payments.sandbox.tables import prepare

_CHARGES = "SELECT id, reference, amount, currency, token, status, failure_code, created_at, updated_at FROM charge"


class InProgress(Unavailable):
    slug = "in-progress"


@dataclass(frozen=True, slots=True)
class Refund:
    reference: str
    id: str
    charge_id: str
    amount: str


@dataclass(frozen=True, slots=True)
class Charge:
    """Times are seconds since 1970."""

    id: str
    reference: str
    amount: str
    currency: str
    token: str
    status: str
    failure_code: str | None
    created_at: float
    updated_at: float
    refunds: list[Refund] = field(default_factory=list)


class Book:
    """Used from one thread; every method is one transaction."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._connection = sqlite3.connect(file, isolation_level=None)
        prepare(self._connection)

    def close(self) -> None:
        self._connection.close()

    def attempt(self, operation: str, about: str) -> int:
        """Count one more attempt at `operation`; which one it is, from 1."""
        [(count,)] = self._connection.execute(
            "INSERT INTO attempt VALUES (?, ?, 1) ON CONFLICT (operation, about) DO UPDATE SET count = count + 1"
            " RETURNING count",
            [operation, about],
        ).fetchall()
        return int(count)

    def put_off(self, seconds: float, command: str, about: str, **arguments: Any) -> None:
        """Do `command` (a method of this class) so much later; until then the same about it is in progress."""
        self._connection.execute(
            "INSERT OR IGNORE INTO later VALUES (?, ?, ?, ?)",
            [self._clock() + seconds, command, about, json.dumps(arguments)],
        )

    def require_idle(self, command: str, about: str) -> None:
        """Raise InProgress while the same command was put off."""
        self._catch_up()
        if self._connection.execute("SELECT 1 FROM later WHERE command = ? AND about = ?", [command, about]).fetchone():
            raise InProgress("this is being worked on; ask again later")

    def authorise(
        self, reference: str, amount: str, currency: str, token: str, failure_code: str | None = None, times: int = 1
    ) -> Charge:
        """The charge under `reference`, made now unless it was before. Raises Conflict when it is of another amount."""
        self._catch_up()
        if not (found := self.under(reference)):
            status, now = "declined" if failure_code else "authorised", self._clock()
            for _ in range(times):
                self._connection.execute(
                    "INSERT INTO charge VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [f"ch_{uuid7().hex}", reference, amount, currency, token, status, failure_code, now, now],
                )
            found = self.under(reference)
        charge = found[0]
        if (Decimal(charge.amount), charge.currency) != (Decimal(amount), currency):
            raise Conflict(f"reference {reference} was used for another amount")
        return charge

    def capture(self, charge_id: str, failure_code: str | None = None) -> Charge:
        """Take the authorised money; with `failure_code` the authorisation is withdrawn instead. Raises Conflict."""
        if failure_code is not None:
            return self._end(charge_id, "voided", failure_code)
        return self._end(charge_id, "captured")

    def void(self, charge_id: str) -> Charge:
        """Let go of the authorised money. Raises Conflict when it was captured."""
        return self._end(charge_id, "voided")

    def refund(self, charge_id: str, reference: str, amount: str) -> Refund:
        """The refund under `reference`, made now unless it was before. Raises NotFound and Conflict (over-refund)."""
        charge = self.charge(charge_id)
        earlier = self._connection.execute(
            "SELECT reference, id, charge_id, amount FROM refund WHERE reference = ?", [reference]
        ).fetchone()
        if earlier is not None:
            return Refund(*earlier)
        if charge.status != "captured":
            raise NotFound(f"there is no captured charge {charge_id}")
        if sum((Decimal(refund.amount) for refund in charge.refunds), Decimal(amount)) > Decimal(charge.amount):
            raise Conflict("refunds would exceed the charge")
        refund = Refund(reference, f"re_{uuid7().hex}", charge_id, amount)
        self._connection.execute("INSERT INTO refund VALUES (?, ?, ?, ?)", [reference, refund.id, charge_id, amount])
        self._connection.execute("UPDATE charge SET updated_at = ? WHERE id = ?", [self._clock(), charge_id])
        return refund

    def charge(self, charge_id: str) -> Charge:
        self._catch_up()
        return self._existing(charge_id)

    def under(self, reference: str) -> list[Charge]:
        """The charges under one reference, the first one first."""
        self._catch_up()
        return self._read(f"{_CHARGES} WHERE reference = ? ORDER BY id", [reference])

    def changed(self, since: float, after: tuple[float, str], limit: int) -> list[Charge]:
        """Charges made or changed at or after `since`, oldest change first, beyond the (time, id) `after`."""
        self._catch_up()
        return self._read(
            f"{_CHARGES} WHERE updated_at >= ? AND (updated_at, id) > (?, ?) ORDER BY updated_at, id LIMIT ?",
            [since, *after, limit],
        )

    def _read(self, query: str, values: list[Any]) -> list[Charge]:
        charges = [Charge(*row) for row in self._connection.execute(query, values).fetchall()]
        for charge in charges:
            charge.refunds.extend(
                Refund(*row)
                for row in self._connection.execute(
                    "SELECT reference, id, charge_id, amount FROM refund WHERE charge_id = ? ORDER BY id", [charge.id]
                )
            )
        return charges

    def _existing(self, charge_id: str) -> Charge:
        if not (found := self._read(f"{_CHARGES} WHERE id = ?", [charge_id])):
            raise NotFound(f"there is no charge {charge_id}")
        return found[0]

    def _end(self, charge_id: str, status: str, failure_code: str | None = None) -> Charge:
        self._catch_up()
        self._connection.execute(
            "UPDATE charge SET status = ?, failure_code = ?, updated_at = ? WHERE id = ? AND status = 'authorised'",
            [status, failure_code, self._clock(), charge_id],
        )
        charge = self._existing(charge_id)
        if charge.status != status:
            raise Conflict(f"charge {charge_id} is {charge.status}")
        return charge

    def _catch_up(self) -> None:
        """Do what is due. What is refused by then (voided meanwhile) is dropped, as its caller is long gone."""
        due = self._connection.execute(
            "DELETE FROM later WHERE due <= ? RETURNING command, arguments, due", [self._clock()]
        ).fetchall()
        for command, arguments, _ in sorted(due, key=lambda row: row[2]):
            try:
                getattr(self, command)(**json.loads(arguments))
            except (Conflict, NotFound):
                continue
