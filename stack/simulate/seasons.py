"""When customers buy: more before Christmas and on Sundays, most on Black Friday, least at night, and a little more each month."""

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from stack.simulate.history import History

_WEEKDAYS = (1.05, 0.98, 0.95, 0.97, 1.0, 1.08, 1.2)
_MONTHS = (0.85, 0.8, 0.9, 0.95, 1.0, 0.95, 0.9, 0.88, 0.98, 1.05, 1.35, 1.5)
_HOURS = (2, 1, 1, 1, 1, 2, 4, 7, 10, 12, 13, 13, 14, 12, 12, 12, 13, 15, 18, 22, 24, 20, 12, 5)
_GROWTH = 0.3
"""By how much the last day of a history is busier than its first."""
_BLACK_FRIDAY = 2.2
_LAST_ORDER = timedelta(minutes=1)
"""Before the history ends: what follows at once from an order still belongs to it."""


def orders_of_days(history: History) -> list[int]:
    """How many orders each day has, from the first to the last; they add up to all orders."""
    weights = [
        _weight(history.start.date() + timedelta(days=number)) * (1 + _GROWTH * number / history.days)
        for number in range(history.days)
    ]
    exact = [history.orders * weight / sum(weights) for weight in weights]
    counts = [int(share) for share in exact]
    by_rest = sorted(range(history.days), key=lambda day: (counts[day] - exact[day], day))
    for day in by_rest[: history.orders - sum(counts)]:
        counts[day] += 1
    return counts


def moments(history: History) -> Iterator[datetime]:
    """The moment of each order, ascending."""
    chooser = history.chooser("moments")
    for number, count in enumerate(orders_of_days(history)):
        day = history.start + timedelta(days=number)
        for second in sorted(_second(chooser) for _ in range(count)):
            yield min(day + timedelta(seconds=second), history.end - _LAST_ORDER)


def _weight(day: date) -> float:
    black_friday = day.month == 11 and day.weekday() == 4 and 23 <= day.day <= 29
    return _WEEKDAYS[day.weekday()] * _MONTHS[day.month - 1] * (_BLACK_FRIDAY if black_friday else 1)


def _second(chooser: random.Random) -> float:
    return chooser.choices(range(24), _HOURS)[0] * 3600 + chooser.randrange(3_600_000) / 1000
