"""Finds the rows that a target refuses among those that it takes.

ClickHouse names the row that an insert failed at, so most refused rows cost one small insert each; where it does not, halves
are tried. A row is called refused only after it was refused alone.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cdc.sinks.clickhouse.writer import RefusedRows

_WINDOW = 500
"""Rows tried at once: a refused one makes only these be sent again."""

T = TypeVar("T")


def salvage(
    rows: Sequence[T],
    insert: Callable[[Sequence[T]], None],
    refuse: Callable[[T, RefusedRows], None],
    *,
    at_once: int = 1,
) -> None:
    """Insert all rows that can be; call ``refuse`` with each of the others and the reason.

    With ``at_once`` above 1 both are called by so many threads. Whatever else ``insert`` raises ends the salvage; inserting the
    same rows again is harmless.
    """
    windows = [list(rows[start : start + _WINDOW]) for start in range(0, len(rows), _WINDOW)]
    with ThreadPoolExecutor(at_once, thread_name_prefix="salvage") as pool:
        tried = [pool.submit(_window, window, insert, refuse) for window in windows]
        try:
            for each in tried:
                each.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _window(rows: list[T], insert: Callable[[Sequence[T]], None], refuse: Callable[[T, RefusedRows], None]) -> None:
    while rows:
        try:
            insert(rows)
            return
        except RefusedRows as error:
            # Its trace leads to these very frames: kept, it would hold their rows until cycles are looked for.
            refusal = error.with_traceback(None)
            refusal.__cause__ = refusal.__context__ = None
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
