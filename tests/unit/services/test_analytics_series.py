"""Points of a time series: no gap, no overlap, calendar weeks and months, ratios from sums."""

from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from services.analytics.series import Granularity, Sums, series, spans

D = Decimal


def sold(orders: int, gross: str, refunds: str = "0.00") -> Sums:
    return Sums(
        orders=orders, gross_revenue=D(gross), refunds=D(refunds), net_revenue=D(gross) - D(refunds), units=orders
    )


def test_days_without_sales_are_points_of_zero() -> None:
    days = [(date(2026, 3, 2), sold(1, "10.00")), (date(2026, 3, 4), sold(2, "25.01"))]
    points = series(days, date(2026, 3, 1), date(2026, 3, 5), "day")
    assert [(span.first.day, sums.orders) for span, sums in points] == [(1, 0), (2, 1), (3, 0), (4, 2), (5, 0)]
    assert points[0][1].average_order_value is None
    assert points[3][1].average_order_value == D("12.51")  # 12.505, half away from zero


def test_weeks_begin_on_monday_and_say_when_the_range_cuts_them() -> None:
    made = list(spans(date(2026, 3, 4), date(2026, 3, 16), "week"))  # Wednesday to Monday
    assert [(span.first.day, span.last.day, span.whole) for span in made] == [
        (4, 8, False), (9, 15, True), (16, 16, False),
    ]  # fmt: skip


def test_a_month_adds_up_its_days_and_makes_its_ratio_from_the_sums() -> None:
    days = [(date(2026, 2, 1), sold(1, "100.00", "100.00")), (date(2026, 2, 28), sold(3, "20.00"))]
    ((span, sums),) = series(days, date(2026, 2, 1), date(2026, 2, 28), "month")
    assert span.whole
    assert (sums.orders, sums.gross_revenue, sums.net_revenue) == (4, D("120.00"), D("20.00"))
    assert sums.average_order_value == D("30.00")


@given(
    st.dates(date(2000, 1, 1), date(2099, 1, 1)),
    st.integers(0, 1200),
    st.sampled_from(["day", "week", "month"]),
    st.data(),
)
def test_every_day_is_in_one_point_and_no_sum_is_lost(
    first: date, length: int, granularity: Granularity, data: st.DataObject
) -> None:
    last = first + timedelta(days=length)
    made = list(spans(first, last, granularity))
    assert made[0].first == first and made[-1].last == last
    assert all(a.last + timedelta(days=1) == b.first for a, b in pairwise(made))
    day = data.draw(st.dates(first, last))
    points = series([(day, sold(1, "9.99"))], first, last, granularity)
    assert [span for span, sums in points if sums.orders] == [next(s for s in made if s.first <= day <= s.last)]
