"""Which of ClickHouse's refusals say "later", not "never": by their codes, and where a code means both, by its own words.

A row may have put anything into a message further on, so only its beginning counts.
"""

import re

_BUSY = {159, 160, 202, 236, 241, 242, 243, 252, 319, 341, 394, 439, 473, 677, 692, 733, 745, 749, 762, 776, 777, 778}
"""Timeouts, overload, no memory, a full disk, shutdown, too many parts, a write whose end is unknown."""
_FILES = {74, 75, 76, 77, 87, 88, 204}
"""Its own files (read, write, open, close, seek, truncate, fsync): a full disk or one without inodes, never a row."""
_AWAY = {95, 96, 99, 100, 101, 102, 198, 203, 209, 210, 279, 297, 364, 425, 519, 574, 904}
"""A server that it asks in turn, of a cluster, is away or went away while it answered."""
_REPLICAS = {224, 225, 244, 254, 265, 285, 286, 289, 369, 415, 416, 999}
"""Too few of a table's replicas, or the keeper that they agree by, are there."""
_RIGHTS = {164, 192, 193, 194, 201, 291, 472, 497, 516, 700}
"""The engine's user lacks a right, has another password or used up its quota: whoever runs the server mends that, not the rows."""
_CODES = _BUSY | _FILES | _AWAY | _REPLICAS | _RIGHTS
_LIBRARY_CODES = {1000, 1001}
"""The same told by a library of its own."""
_LIBRARY_FAULT = re.compile(r"Code: 100[01], (?:type: [\w:]*?(\w+),|e\.code\(\) = (\d+),)")
_NO_ROOM = {"28", "122"}  # no space left, quota used up
_TOO_SHORT = 32
_CUT_OFF = re.compile(
    r"^(?:Received ClickHouse exception, code: 32, server response: )?Code: 32\. \S+ Attempt to read after eof: while receiving packet "
)
"""An answer of another server that ended early; a row that ends early has the same code."""


def passes(code: int, reason: str) -> bool:
    """Whether what was refused can be taken later, as it is."""
    if code in _LIBRARY_CODES:
        found = _LIBRARY_FAULT.search(reason)
        return found is not None and (found[1] == "filesystem_error" or found[2] in _NO_ROOM)
    if code == _TOO_SHORT:
        return _CUT_OFF.search(reason) is not None
    return code in _CODES
