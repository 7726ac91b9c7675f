"""A year of a shop: its copies are equal, its marts agree with the services' databases to the cent, and follow changes by month.

The short one lies before the days of the long one, without visits, which ClickHouse would have forgotten by now.
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from cdc.verify import verify_documents, verify_tables
from stack.simulate.history import History
from tests.conftest import Stack
from tests.e2e.year import Year, command, simulated

DAYS, SEED = 365, 1
Days = dict[date, tuple[Decimal, Decimal]]


@pytest.fixture(
    scope="module",
    params=[pytest.param((10_000, 400), id="10000"), pytest.param((200_000, 0), id="200000", marks=pytest.mark.long)],
)
def year(stack: Stack, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Year]:
    """So many orders until so many days ago."""
    orders, ago = request.param
    history = History(orders, DAYS, SEED, datetime.now(UTC).date() - timedelta(days=ago))
    with simulated(stack, history, tmp_path_factory.mktemp("year"), visits=not ago) as made:
        yield made


@pytest.mark.usefixtures("engine")
def test_the_copies_are_equal_and_the_shop_is_well(year: Year) -> None:
    assert year.told["orders"] == year.history.orders
    proofs = verify_tables(patience=900)
    assert {proof.table for proof in proofs if not proof.equal} == set()
    assert sum(proof.rows_target for proof in proofs if proof.table == "public.orders") >= year.history.orders
    assert all(proof.equal for proof in verify_documents(patience=300))
    told = command(year.stack, "-m", "stack.commands.main", "check", "invariants", "--json")
    rows = [row for invariant in json.loads(told.stdout)["invariants"] for row in invariant["rows"]]
    assert [
        row for row in rows if year.history.tag in str(row).replace("-", "")
    ] == []  # other tests leave worse behind
    [(events,)] = year.warehouse(
        f"SELECT count() FROM raw_clickstream.events FINAL WHERE startsWith(session, '{year.history.tag}-')"
    )
    assert events == year.told["events"]


@pytest.mark.usefixtures("engine")
def test_the_marts_equal_postgres_to_the_cent(year: Year) -> None:
    year.marts.wait_until_readable()
    year.marts.build()
    days = in_the_mart(year)
    assert days == in_postgres(year)
    assert len(days) == DAYS
    payments = year.postgres("payments", "SELECT order_id, id, captured, refunded FROM payments")
    mart = year.warehouse("SELECT order_id, payment_id, captured, refunded FROM {db}.fct_payments")
    assert sorted(mart) == sorted(payments)
    tag = year.history.tag
    stock = year.postgres(
        "products",
        "SELECT product_id, available, sold FROM stock WHERE substr(replace(product_id::text, '-', ''), 17, 8) = %s",
        tag,
    )
    levels = year.warehouse(
        "SELECT product_id, argMax(available, day), argMax(sold_so_far, day) FROM {db}.fct_inventory_daily "
        f"WHERE substring(replaceAll(toString(product_id), '-', ''), 17, 8) = '{tag}' GROUP BY product_id"
    )
    assert sorted(levels) == sorted(stock) and len(stock) >= 200


@pytest.mark.usefixtures("engine")
def test_a_build_after_changes_within_three_days_writes_their_month_alone(year: Year) -> None:
    year.marts.leave_the_overlap()
    year.marts.build()
    before = year.marts.months_written()
    middle = year.history.start.date().replace(day=10) + timedelta(days=180)
    first = middle.replace(day=10)
    changed = "UPDATE orders SET updated_at = now() WHERE placed_at >= %s::date AND placed_at < %s::date + 3"
    year.postgres("orders", changed, first, first)
    year.marts.wait_until_readable()
    year.marts.build()
    after = year.marts.months_written()
    assert {month for month in after if after[month] != before[month]} == {int(f"{first:%Y%m}")}
    assert in_the_mart(year) == in_postgres(year)


def in_postgres(year: Year) -> Days:
    """Gross revenue and refunds of each day of the history."""
    payments = year.postgres("payments", "SELECT order_id, captured, refunded FROM payments")
    captured = {order for order, amount, _ in payments if amount > 0}
    given_back = {order: refunded for order, _, refunded in payments}
    gross: defaultdict[date, Decimal] = defaultdict(Decimal)
    refunds: defaultdict[date, Decimal] = defaultdict(Decimal)
    orders = "SELECT id, placed_at::date, status, total FROM orders WHERE placed_at >= %s AND placed_at < %s"
    for order, day, status, total in year.postgres("orders", orders, year.history.start, year.history.end):
        if status == "CONFIRMED" or (status == "CANCELLED" and order in captured):
            gross[day] += total
            refunds[day] += given_back[order]
    return {day: (gross[day], refunds[day]) for day in gross}


def in_the_mart(year: Year) -> Days:
    """The same as the mart has it."""
    first, until = year.history.start.date(), year.history.until
    rows = year.warehouse(
        "SELECT day, gross_revenue, refunds FROM {db}.rpt_revenue_daily "
        f"WHERE orders > 0 AND day >= '{first}' AND day < '{until}'"
    )
    return {day: (gross, refunds) for day, gross, refunds in rows}
