"""A year of a thousand orders in databases of its own: everything that must hold of a shop holds, however it was written."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest

from services.invariants.check import check
from services.invariants.databases import opened
from services.orders.rebuild import rebuild
from stack.simulate import databases as written_by
from stack.simulate import run
from stack.simulate.databases import AtWork, ForeignOrders, NoDatabases, be_the_only_one
from stack.simulate.history import History
from stack.simulate.run import Written, simulate

Dsns = Mapping[str, str]
YEAR = History(orders=1000, days=365, seed=4, until=date(2026, 1, 1))

TABLES: dict[str, dict[str, LiteralString]] = {
    "users": {"public.users": "", "public.addresses": "", "service.credentials": "- 'updated_at'"},
    "products": {
        "public.categories": "", "public.products": "", "public.prices": "", "public.price_changes": "- 'id'",
        "public.stock": "", "public.stock_movements": "- 'id'", "public.reservations": "", "service.holds": "",
    },
    "orders": {"public.orders": "", "public.order_items": "", "service.order_events": ""},
    "payments": {
        "public.payments": "", "public.refunds": "", "public.accounts": "", "public.transfers": "- 'at'",
        "service.voids": "", "service.reconciliation_progress": "",
    },
}  # fmt: skip
"""With what is not of the history: the ledger's clock, and numbers that a transaction which was undone has used up."""


def quietly(step: str, done: int, of: int) -> None:
    """Nobody looks on."""


def contents(dsns: Dsns) -> dict[str, str]:
    """A checksum of each table's rows."""
    found = {}
    for name, tables in TABLES.items():
        with psycopg.connect(dsns[name], options="-c timezone=UTC") as connection:
            for table, without in tables.items():
                query = f"SELECT md5(string_agg(r, '' ORDER BY r)) FROM (SELECT (to_jsonb(t) {without})::text AS r FROM {table} t) s"
                row = connection.execute(query.encode()).fetchone()
                assert row is not None and row[0] is not None, table
                found[table] = row[0]
    return found


def values(dsn: str, query: LiteralString) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture(scope="module")
def year(databases: Callable[[], Dsns]) -> tuple[Dsns, Written]:
    dsns = databases()
    return dsns, simulate(dsns, YEAR, None, quietly)


def test_every_invariant_of_the_shop_holds(year: tuple[Dsns, Written]) -> None:
    dsns, written = year
    assert written.orders == written.new == 1000 and len(written.outcomes) == 7
    with opened(dsns) as audited:
        verdicts = check(audited)
    own = [verdict for verdict in verdicts if verdict.name != "events_leave_the_log"]  # that one is of the server
    assert len(own) >= 18
    assert {verdict.name: verdict.rows for verdict in own if verdict.violations} == {}


def test_the_orders_are_what_their_events_make_of_them(year: tuple[Dsns, Written]) -> None:
    dsns, _ = year
    rebuilt = rebuild(dsns["orders"])
    assert (rebuilt.orders, rebuilt.differences) == (1000, [])


def test_nothing_was_oversold_at_any_moment(year: tuple[Dsns, Written]) -> None:
    dsns, _ = year
    below = values(
        dsns["products"],
        """SELECT * FROM (
               SELECT product_id, at, sum(CASE WHEN kind = 'committed' THEN 0 WHEN kind = 'reserved' THEN -quantity
                   ELSE quantity END) OVER (PARTITION BY product_id ORDER BY at, id) AS available
               FROM stock_movements) AS running WHERE available < 0""",
    )
    assert below == []
    assert values(dsns["products"], "SELECT min(at) >= '2024-12-01', max(at) < '2026-01-01' FROM stock_movements") == [
        (True, True)
    ]


def test_prices_have_a_past_and_orders_the_price_of_their_day(year: tuple[Dsns, Written]) -> None:
    dsns, _ = year
    changes = values(dsns["products"], "SELECT product_id, at, new_amount FROM price_changes ORDER BY id")
    items = values(
        dsns["orders"], "SELECT product_id, placed_at, unit_price FROM order_items JOIN orders ON id = order_id"
    )
    agreed: list[bool] = []
    for product, placed_at, price in items:
        valid = [amount for changed, at, amount in changes if changed == product and at <= placed_at]
        agreed.append(valid[-1] == price)
    assert all(agreed) and len(agreed) > 1500
    assert len(changes) > 2 * len({product for product, _, _ in changes})


def test_a_price_that_is_changed_without_its_time_is_changed_now(year: tuple[Dsns, Written]) -> None:
    dsns, _ = year
    with psycopg.connect(dsns["products"]) as connection:
        connection.execute(
            "UPDATE prices SET amount = amount + 1 WHERE product_id = (SELECT min(product_id::text)::uuid FROM prices)"
        )
        last = connection.execute("SELECT at = now() FROM price_changes ORDER BY id DESC LIMIT 1").fetchone()
        connection.rollback()
    assert last == (True,)


def test_the_year_ends_before_its_last_day_in_every_table(year: tuple[Dsns, Written]) -> None:
    dsns, _ = year
    for name, query in (
        ("orders", "SELECT max(updated_at) FROM orders UNION ALL SELECT max(recorded_at) FROM service.order_events"),
        ("payments", "SELECT max(updated_at) FROM payments UNION ALL SELECT max(created_at) FROM refunds"),
        ("products", "SELECT max(updated_at) FROM stock UNION ALL SELECT max(at) FROM price_changes"),
        ("users", "SELECT max(created_at) FROM users"),
    ):
        assert all(at < YEAR.end for (at,) in values(dsns[name], query)), name


def test_writing_it_again_adds_nothing(year: tuple[Dsns, Written]) -> None:
    dsns, _ = year
    before = contents(dsns)
    again = simulate(dsns, YEAR, None, quietly)
    assert (again.orders, again.new) == (1000, 0)
    assert contents(dsns) == before


class _Crash(Exception):
    pass


def test_one_that_was_interrupted_goes_on_and_ends_with_the_same_rows(
    year: tuple[Dsns, Written], databases: Callable[[], Dsns], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "CHUNK", 150)
    write_chunk = written_by.write_chunk
    taken: list[str] = []

    def crashes(connection: psycopg.Connection[Any], name: str, chunk: Any) -> bool:
        taken.append(name)
        if name == "payments" and taken.count(name) == 3:
            raise _Crash
        return write_chunk(connection, name, chunk)

    monkeypatch.setattr(run, "write_chunk", crashes)
    dsns = databases()
    with pytest.raises(_Crash):
        simulate(dsns, YEAR, None, quietly)
    (paid,), (placed,) = (
        values(dsns["payments"], "SELECT count(*) FROM payments")[0],
        values(dsns["orders"], "SELECT count(*) FROM orders")[0],
    )
    assert 0 < paid < placed < 1000
    monkeypatch.setattr(run, "write_chunk", write_chunk)
    assert 0 < simulate(dsns, YEAR, None, quietly).new < 1000
    whole, _ = year
    assert contents(dsns) == contents(whole)


def test_days_with_orders_of_somebody_else_are_refused_and_others_are_not(
    year: tuple[Dsns, Written],
) -> None:
    dsns, _ = year
    with pytest.raises(ForeignOrders, match=r"1000 orders of these days .*--until 2025-01-0\d"):
        simulate(dsns, replace(YEAR, seed=5), None, quietly)
    before = History(orders=20, days=10, seed=5, until=date(2024, 12, 1))
    assert simulate(dsns, before, None, quietly).new == 20
    with opened(dsns) as audited:
        assert {verdict.name: verdict.rows for verdict in check(audited) if verdict.violations} == {}


def test_databases_that_are_away_or_empty_are_named(year: tuple[Dsns, Written]) -> None:
    dsns, _ = year
    away = {**dsns, "payments": "postgresql://payments@127.0.0.1:1/payments"}
    with pytest.raises(
        NoDatabases,
        match=r"the database of payments cannot be reached .*millrace up --only users,products,orders,payments",
    ):
        simulate(away, YEAR, None, quietly)
    swapped = {**dsns, "orders": dsns["users"]}
    with pytest.raises(
        NoDatabases, match=r'relation "public.orders" does not exist.*millrace up --only users,products,orders,payments'
    ):
        simulate(swapped, replace(YEAR, seed=int(uuid4()) % 1000 + 10), None, quietly)


def test_only_one_writes_at_a_time(year: tuple[Dsns, Written]) -> None:
    dsns, _ = year
    with written_by.opened(dsns) as other:
        be_the_only_one(other)
        with pytest.raises(AtWork, match="wait for it"):
            simulate(dsns, YEAR, None, quietly)
    assert simulate(dsns, YEAR, None, quietly).new == 0
