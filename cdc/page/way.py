"""The way of the data, source by source: what waits at each hop, summed over the tables."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from cdc.status import GroupLag, SourceStatus, Status

BEHIND = 10.0
"""Seconds from which on a target is called behind: METRICS.md asks for a look at the same."""

_REMEMBERED = 5_000
"""Positions of a log: of hours, and then the oldest are forgotten, so that an age is said too low, never too high."""


@dataclass(frozen=True)
class Way:
    """One source's way. ``unread_for`` is how long the oldest of the log that nobody has read is there, in seconds, as far as was
    looked; ``lags`` has for each target that it feeds what waits in Kafka, the oldest table's seconds."""

    source: SourceStatus
    unread_for: float
    lags: dict[str, GroupLag]


class Ages:
    """How old the unread end of a log is. The server tells positions only, so where the log ended is remembered look by look."""

    def __init__(self) -> None:
        self._ends: dict[str, deque[tuple[float, int]]] = {}

    def unread_for(self, source: SourceStatus, at: float) -> float:
        """Seconds since the log was first seen to go beyond what is read; 0 when all is read or nobody could be asked."""
        if source.written is None or source.unread is None:
            return 0.0
        ends, confirmed = (
            self._ends.setdefault(source.source, deque(maxlen=_REMEMBERED)),
            source.written - source.unread,
        )
        if ends and ends[-1][1] > source.written:
            ends.clear()  # another log
        if not ends or ends[-1][1] < source.written:
            ends.append((at, source.written))
        while ends and ends[0][1] <= confirmed:
            ends.popleft()
        return at - ends[0][0] if ends else 0.0


def ways(status: Status, ages: Ages) -> tuple[Way, ...]:
    """Each source's way."""
    return tuple(
        Way(source, ages.unread_for(source, status.at), summed(lag for table in source.tables for lag in table.lags))
        for source in status.sources
    )


def summed(lags: Iterable[GroupLag]) -> dict[str, GroupLag]:
    """Lags by target: records and bytes added, the longest of the seconds."""
    found: dict[str, GroupLag] = {}
    for lag in lags:
        before = found.get(lag.target, GroupLag(lag.target, 0, 0.0))
        found[lag.target] = GroupLag(
            lag.target,
            before.records + lag.records,
            max(before.seconds, lag.seconds),
            before.bytes + lag.bytes,
        )
    return found
