"""Days gathered into the points of a time series: whole calendar days, weeks from Monday or months, without a gap.

Sums are added up; a ratio is made anew from the sums, never averaged.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

Granularity = Literal["day", "week", "month"]
_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Sums:
    """What a day, or several, brought in one currency; the columns of the mart of daily revenue that can be added."""

    orders: int = 0
    cancelled_orders: int = 0
    units: int = 0
    gross_revenue: Decimal = Decimal("0.00")
    refunds: Decimal = Decimal("0.00")
    net_revenue: Decimal = Decimal("0.00")
    refunds_issued: Decimal = Decimal("0.00")

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def average_order_value(self) -> Decimal | None:
        """Gross revenue per sale, rounded half away from zero; None without sales."""
        return (self.gross_revenue / self.orders).quantize(_CENT, ROUND_HALF_UP) if self.orders else None


@dataclass(frozen=True, slots=True)
class Span:
    """One point's days, `first` to `last` inclusive; `whole` unless the asked range cuts the calendar's week or month."""

    first: date
    last: date
    whole: bool


def spans(first: date, last: date, granularity: Granularity) -> Iterator[Span]:
    """The points of a range, in order."""
    day = first
    while day <= last:
        begin, end = _around(day, granularity)
        yield Span(max(begin, first), min(end, last), whole=begin >= first and end <= last)
        day = end + timedelta(days=1)


def series(
    days: Iterable[tuple[date, Sums]], first: date, last: date, granularity: Granularity
) -> list[tuple[Span, Sums]]:
    """The sums of each point; a point without a day is zero."""
    totals = {_around(span.first, granularity)[0]: [span, Sums()] for span in spans(first, last, granularity)}
    for day, sums in days:
        point = totals[_around(day, granularity)[0]]
        point[1] = point[1] + sums  # type: ignore[operator]
    return [(span, sums) for span, sums in totals.values()]  # type: ignore[misc]


def _around(day: date, granularity: Granularity) -> tuple[date, date]:
    """First and last day of the calendar's day, week or month that holds `day`."""
    if granularity == "day":
        return day, day
    if granularity == "week":
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=6)
    begin = day.replace(day=1)
    return begin, (begin + timedelta(days=31)).replace(day=1) - timedelta(days=1)
