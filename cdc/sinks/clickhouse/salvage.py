"""Finds the rows that a target refuses among those that it takes.

ClickHouse names the row that an insert failed at, so most refused rows cost one small insert each; where it does not, halves
are tried. A row is called refused only after it was refused alone.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from cdc.sinks.clickhouse.writer import RefusedRows

_WINDOW = 500
"""Rows tried at once: a refused one makes only these be sent again."""

T = TypeVar("T")


def salvage(rows: Sequence[T], insert: Callable[[Sequence[T]], None], refuse: Callable[[T, RefusedRows], None]) -> None:
    """Insert all rows that can be, in their order; call ``refuse`` with each of the others and the reason.

    Whatever else ``insert`` raises ends the salvage; inserting the same rows again is harmless.
    """
    for start in range(0, len(rows), _WINDOW):
        _window(list(rows[start : start + _WINDOW]), insert, refuse)


def _window(rows: list[T], insert: Callable[[Sequence[T]], None], refuse: Callable[[T, RefusedRows], None]) -> None:
    while rows:
        try:
            insert(rows)
            return
        except RefusedRows as error:
            refusal = error
        if len(rows) == 1:
            refuse(rows[0], refusal)
            return
        suspect = refusal.row
        if suspect is None or not 0 <= suspect < len(rows):
            half = len(rows) // 2
            _window(rows[:half], insert, refuse)
            rows = rows[half:]
            continue
        _window([rows[suspect]], insert, refuse)
        del rows[suspect]
