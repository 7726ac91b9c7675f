"""Which past is meant: so many orders on so many days up to a date, by a seed. What follows from it is always the same.

The ids are UUIDs of version 7 at the time of the thing, with a mark of the history instead of random bits: so what a
history wrote can be told from everything else, and writing it again writes nothing twice.
"""

import hashlib
import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from uuid import UUID

_MARK_BITS = 30
_VARIANT = 0b10 << 62


@dataclass(frozen=True)
class History:
    """`until` is the first day (UTC) that is not part of it any more."""

    orders: int
    days: int
    seed: int
    until: date

    @cached_property
    def start(self) -> datetime:
        return self.end - timedelta(days=self.days)

    @cached_property
    def end(self) -> datetime:
        return datetime.combine(self.until, time(), UTC)

    @cached_property
    def mark(self) -> int:
        """30 bits that no other history is likely to have."""
        words = f"{self.orders} {self.days} {self.seed} {self.until}"
        return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4], "big") >> (32 - _MARK_BITS)

    @cached_property
    def tag(self) -> str:
        """The eight digits that stand at the 17th place of every id of this history, without its dashes."""
        return f"{(_VARIANT | self.mark << 32) >> 32:08x}"

    def chooser(self, what: str) -> random.Random:
        """Chance for one purpose: another purpose that asks for more or less does not change it."""
        return random.Random(f"{self.tag} {what}")


class Ids:
    """The ids of one kind of thing, in the order in which they are asked for."""

    def __init__(self, history: History, kind: int) -> None:
        self._base = 7 << 76 | _VARIANT | history.mark << 32 | kind << 28
        self._number = 0

    def at(self, moment: datetime) -> UUID:
        """The next id, of a thing of that moment. Raises OverflowError after 268 million."""
        self._number += 1
        if self._number >> 28:
            raise OverflowError("a history has no room for more than 268 million things of a kind")
        return UUID(int=int(moment.timestamp() * 1000) << 80 | self._base | self._number)
