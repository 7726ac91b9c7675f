"""What reconciliation found and leaves to people: one open row a kind and reference, closed when it is gone."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from services.kit.db import Primary
from services.kit.ids import uuid7


class Kind(StrEnum):
    UNKNOWN_CHARGE = "unknown_charge"
    UNKNOWN_TO_PROVIDER = "unknown_to_provider"
    AMOUNT_MISMATCH = "amount_mismatch"
    REFUND_MISMATCH = "refund_mismatch"
    NOT_CAPTURED = "not_captured"


@dataclass(frozen=True, slots=True)
class Finding:
    """`ours` and `theirs` are the amounts that do not agree; `reference` is what the charge is filed under."""

    kind: Kind
    reference: str
    detail: str
    charge_id: str | None = None
    ours: Decimal | None = None
    theirs: Decimal | None = None


@dataclass(frozen=True, slots=True)
class FindingRow:
    id: UUID
    kind: str
    reference: str
    charge_id: str | None
    ours: Decimal | None
    theirs: Decimal | None
    detail: str
    first_seen: datetime
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class _New:
    new: bool


async def report(primary: Primary, finding: Finding) -> bool:
    """Write the finding down; whether it is a new one."""
    row = await primary.one(
        _New,
        """INSERT INTO service.reconciliation_findings (id, kind, reference, charge_id, ours, theirs, detail)
           VALUES (%s, %s, %s, %s, %s, %s, %s)
           ON CONFLICT (kind, reference) WHERE resolution IS NULL DO UPDATE
               SET last_seen = now(), charge_id = excluded.charge_id, ours = excluded.ours,
                   theirs = excluded.theirs, detail = excluded.detail
           RETURNING first_seen = last_seen AS new""",
        [
            uuid7(),
            finding.kind,
            finding.reference,
            finding.charge_id,
            finding.ours,
            finding.theirs,
            finding.detail,
        ],
    )
    return row is not None and row.new


async def open_findings(primary: Primary) -> list[FindingRow]:
    return await primary.all(
        FindingRow,
        """SELECT id, kind, reference, charge_id, ours, theirs, detail, first_seen, last_seen
           FROM service.reconciliation_findings WHERE resolution IS NULL ORDER BY first_seen, id""",
    )


async def resolve(primary: Primary, finding_id: UUID, resolution: str) -> bool:
    """Close an open finding; False when there is none of this id."""
    row = await primary.one(
        _New,
        """UPDATE service.reconciliation_findings SET resolution = %s, resolved_at = now()
           WHERE id = %s AND resolution IS NULL RETURNING true AS new""",
        [resolution, finding_id],
    )
    return row is not None
