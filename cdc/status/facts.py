"""The facts of a status: per source what the log and the connector do, per table how far each target is."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class GroupLag:
    """How far one target is behind the topic: records not written yet, and the age of the oldest of them in seconds."""

    target: str
    records: int
    seconds: float


@dataclass(frozen=True)
class TableStatus:
    """One captured table. ``open_letters`` counts its parked changes; ``proven_at`` is of the last verification."""

    table: str
    lags: tuple[GroupLag, ...]
    open_letters: int
    backfilled: bool
    copying: tuple[int, int] | None
    """Ranges done and in all of a backfill that is not finished."""
    parked: str | None
    mend: str | None
    proven_at: datetime | None
    differing: int | None


@dataclass(frozen=True)
class SourceStatus:
    """One source. Sizes are in bytes of its log; ``problem`` says why it could not be asked."""

    source: str
    epoch: int
    connector: str
    retained: int | None
    """What the slot keeps from being removed."""
    unread: int | None
    """What was written and is not confirmed as read."""
    budget: int | None
    """What the server lets the slot keep (max_slot_wal_keep_size); None: without limit."""
    wal_status: str | None
    problem: str | None
    tables: tuple[TableStatus, ...]

    @property
    def used(self) -> float | None:
        """Share of the budget that the slot uses; None where there is no budget or it could not be asked."""
        return self.retained / self.budget if self.budget and self.retained is not None else None
