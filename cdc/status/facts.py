"""The facts of a status: per source what the log and the connector do, per table how far each target is."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class GroupLag:
    """How far one target is behind the topic: records not written yet, and the age of the oldest of them in seconds.

    ``bytes`` is what these records come to when all are as large as the oldest of their partition: Kafka tells no sizes.
    """

    target: str
    records: int
    seconds: float
    bytes: int = 0


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
    written: int | None
    """Where the source's log ends."""
    read: bool | None
    """Whether somebody reads the slot now."""
    problem: str | None
    tables: tuple[TableStatus, ...]
    limit: int | None = None
    """What the source file lets the slot keep (slot_limit); None: as much as the server does."""

    @property
    def most(self) -> int | None:
        """The lower one of what the server and the source file let the slot keep."""
        return min((each for each in (self.budget, self.limit) if each is not None), default=None)

    @property
    def used(self) -> float | None:
        """Share of `most` that the slot uses; None where nothing limits it or it could not be asked."""
        return self.retained / self.most if self.most and self.retained is not None else None
