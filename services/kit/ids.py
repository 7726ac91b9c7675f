"""UUID version 7: ids that sort by the time of their making, so that lists page by id and indexes grow at one end.

They are names, not secrets: nobody may rely on them being hard to guess.
"""

import secrets
import threading
import time
from uuid import UUID

_NANOSECONDS_PER_MILLISECOND = 1_000_000


class _Stamps:
    """60-bit clock readings that always rise: one that stands still or steps back is counted on by one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> int:
        milliseconds, rest = divmod(time.time_ns(), _NANOSECONDS_PER_MILLISECOND)
        now = milliseconds << 12 | rest * 4096 // _NANOSECONDS_PER_MILLISECOND
        with self._lock:
            self._last = max(now, self._last + 1)
            return self._last


_stamps = _Stamps()


def uuid7() -> UUID:
    """A new id, larger than every id this process made before (RFC 9562: 12 sub-millisecond bits, 62 random ones)."""
    stamp = _stamps.next()
    return UUID(int=(stamp >> 12) << 80 | 7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | secrets.randbits(62))
