"""A history follows from its seed alone, has seasons, and adds up: orders, money and goods, without a database."""

import os
import subprocess
import sys
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from stack.errors import StackError
from stack.settings import ROOT
from stack.simulate import goods, run
from stack.simulate.command import app
from stack.simulate.customers import customers
from stack.simulate.history import History, Ids
from stack.simulate.orders import OUTCOMES
from stack.simulate.rows import COLUMNS, Chunk
from stack.simulate.seasons import moments, orders_of_days

YEAR = History(orders=3000, days=365, seed=1, until=date(2026, 1, 1))
SMALL = History(orders=60, days=30, seed=5, until=date(2026, 1, 1))
LEDGER = (110, 120)


def chunks(history: History) -> list[Chunk]:
    made = run._chunks(history, customers(history), goods.products(history), LEDGER, run.Written(), None)
    return list(made)


@pytest.fixture(scope="module")
def year() -> list[Chunk]:
    return chunks(YEAR)


def rows(made: list[Chunk], database: str, table: str) -> list[dict[str, Any]]:
    names = COLUMNS[database][table]
    return [dict(zip(names, row, strict=True)) for chunk in made for row in chunk.rows[database][table]]


def test_the_same_seed_gives_the_same_rows_and_another_one_other_rows(year: list[Chunk]) -> None:
    assert [chunk.rows for chunk in chunks(YEAR)] == [chunk.rows for chunk in year]
    other = chunks(History(3000, 365, 2, YEAR.until))
    ids = {row["id"] for row in rows(year, "orders", "public.orders")}
    assert len(ids) == 3000 and ids.isdisjoint(row["id"] for row in rows(other, "orders", "public.orders"))


def test_the_rows_do_not_follow_from_how_python_hashes() -> None:
    """Text hashes differently in every process: sets and the like would show."""
    made = chunks(SMALL)
    script = (
        "from tests.unit.stack.test_simulate import SMALL, chunks\nprint(repr([chunk.rows for chunk in chunks(SMALL)]))"
    )
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == repr([chunk.rows for chunk in made])


def test_days_add_up_to_all_orders_and_have_seasons() -> None:
    counts = orders_of_days(History(100_000, 365, 1, date(2026, 1, 1)))
    by_day = {date(2025, 1, 1) + timedelta(days=number): count for number, count in enumerate(counts)}
    assert sum(counts) == 100_000 and min(counts) > 0
    assert max(by_day, key=lambda day: by_day[day]) == date(2025, 11, 28)
    weekdays: Counter[int] = Counter()
    for day, count in by_day.items():
        weekdays[day.weekday()] += count
    assert weekdays.most_common(1)[0][0] == 6
    december = sum(count for day, count in by_day.items() if day.month == 12)
    assert december > 1.5 * sum(count for day, count in by_day.items() if day.month == 2)


def test_moments_ascend_within_the_history_and_nights_are_quiet() -> None:
    found = list(moments(YEAR))
    assert found == sorted(found) and len(found) == 3000
    assert datetime(2025, 1, 1, tzinfo=UTC) <= found[0] and found[-1] < datetime(2026, 1, 1, tzinfo=UTC)
    hours = Counter(moment.hour for moment in found)
    assert hours[20] > 5 * hours[3]


@pytest.mark.parametrize(("orders", "days"), [(1, 1), (1, 365), (40, 1), (7, 3650)])
def test_small_histories_have_all_their_orders(orders: int, days: int) -> None:
    made = chunks(History(orders, days, 3, date(2026, 1, 1)))
    assert len(rows(made, "orders", "public.orders")) == orders


def test_ids_say_their_time_and_whose_history_they_are_of() -> None:
    at = datetime(2025, 6, 1, 12, tzinfo=UTC)
    first, second = (ids := Ids(YEAR, 4)).at(at), ids.at(at)
    assert first < second and first.version == 7
    assert first.int >> 80 == int(at.timestamp() * 1000)
    assert first.hex[16:24] == YEAR.tag != History(3000, 365, 2, YEAR.until).tag


def test_every_chunk_begins_with_an_order_that_every_database_knows(
    year: list[Chunk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "CHUNK", 7)
    made = chunks(YEAR)
    assert len(made) > 300
    for chunk in made:
        assert chunk.rows["orders"]["public.orders"][0][0] == chunk.first
        assert chunk.rows["products"]["service.holds"][0][0] == chunk.first
        assert chunk.rows["payments"]["public.payments"][0][1] == chunk.first
    assert rows(made, "payments", "public.payments") == rows(year, "payments", "public.payments")


def test_every_outcome_happens_and_the_money_follows_it(year: list[Chunk]) -> None:
    orders = {row["id"]: row for row in rows(year, "orders", "public.orders")}
    payments = {row["order_id"]: row for row in rows(year, "payments", "public.payments")}
    refunds: defaultdict[UUID, Decimal] = defaultdict(Decimal)
    for row in rows(year, "payments", "public.refunds"):
        refunds[row["payment_id"]] += row["amount"]
    statuses = Counter(row["status"] for row in payments.values())
    assert set(statuses) == {"CAPTURED", "DECLINED", "VOIDED", "REFUNDED"} and min(statuses.values()) > 5
    assert any(order not in payments for order in orders) and set(payments) < set(orders)
    for order_id, payment in payments.items():
        order = orders[order_id]
        assert payment["amount"] == order["total"] > 0
        assert payment["refunded"] == refunds[payment["id"]]
        kept = payment["captured"] - payment["refunded"]
        assert (kept > 0) == (order["status"] == "CONFIRMED")
    assert sum(OUTCOMES.values()) == pytest.approx(1)


def test_no_shelf_is_ever_below_nothing(year: list[Chunk]) -> None:
    signs = {"received": 1, "adjusted": 1, "reserved": -1, "released": 1, "returned": 1, "committed": 0}
    available: Counter[UUID] = Counter()
    kinds = set()
    for row in sorted(rows(year, "products", "public.stock_movements"), key=lambda row: row["at"]):
        available[row["product_id"]] += signs[row["kind"]] * row["quantity"]
        assert available[row["product_id"]] >= 0, row
        kinds.add(row["kind"])
    assert kinds == set(signs)


def test_prices_are_those_of_the_moment_of_the_order(year: list[Chunk]) -> None:
    products = {product.id: product for product in goods.products(YEAR)}
    items = rows(year, "orders", "public.order_items")
    moved = 0
    for item in items:
        prices = products[item["product_id"]].prices
        assert item["unit_price"] in {price.amount for price in prices if price.at <= item["created_at"]}
        moved += item["unit_price"] != prices[0].amount
    assert moved > len(items) / 10
    for product in products.values():
        times = [price.at for price in product.prices]
        assert times == sorted(times)
        assert all(price.compare_at is None or price.compare_at > price.amount for price in product.prices)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--until", "2999-01-01"], "a past ends today at the latest"),
        (["--until", "yesterday"], "not a day; write it as"),
        (["--until", "1999-01-01"], "the first day that is possible is 2011-01-01"),
        (["--json", "/nowhere/at-all.json"], "there is no folder /nowhere"),
        ([], "no stack was started: millrace up"),
        (["--no-visits"], "the database of users cannot be reached (no stack was started)"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("USERS_DSN", "CLICKHOUSE_URL"):
        monkeypatch.delenv(name, raising=False)
    done = CliRunner().invoke(app, ["--orders", "1", *arguments])
    assert isinstance(done.exception, StackError)
    assert says in str(done.exception) and len(str(done.exception).splitlines()) == 1
