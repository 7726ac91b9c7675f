"""Each invariant, broken by SQL and named; broken only inside transactions of the test, which are rolled back.

The checks read through the test's own connections, so nobody else ever sees what is broken here.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from psycopg import sql

from services.invariants.check import Verdict, check
from services.invariants.databases import NAMES, Databases, order_ids
from services.invariants.rules import OF_ORDERS, rules
from stack.ports import OFFSETS
from tests.conftest import Stack
from tests.integration.services.shop import Shop

Statements = list[tuple[str, str]]
"""(database, SQL): {confirmed}, {failed}, {cancelled}, {other} are order ids, {product} is what was ordered."""


@dataclass(frozen=True)
class Known:
    """Orders of every ending, of one product, and an order id that nobody knows."""

    confirmed: str
    failed: str
    cancelled: str
    other: str
    product: str

    @property
    def ids(self) -> list[UUID]:
        return [UUID(order) for order in (self.confirmed, self.failed, self.cancelled, self.other)]


@pytest.fixture(scope="module")
def known(stack: Stack) -> Iterator[Known]:
    with Shop(stack.env) as shop:
        user, category = shop.user(), shop.category()["id"]
        product = shop.product(category, stock=50)["id"]
        confirmed = shop.order(user, {product: 2, shop.product(category)["id"]: 1}).body["id"]
        failed = shop.order(user, {product: 3}, "tok_declined").body["order_id"]
        cancelled = shop.order(user, {product: 4}).body["id"]
        assert shop.call("orders", "POST", f"/orders/{cancelled}/cancel").status_code == 200
        yield Known(confirmed, failed, cancelled, str(uuid4()), product)


@pytest.fixture
def slot(stack: Stack) -> Iterator[str]:
    """A reader of the log that has 10 kB before it. It waits for open transactions: to be asked for before `databases`."""
    dsn = psycopg.conninfo.make_conninfo(stack.env["POSTGRES_ADMIN_DSN"], dbname="orders")
    with psycopg.connect(dsn, autocommit=True) as reader:  # whose slot goes with it
        name = f"test_{uuid4().hex}"
        reader.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput', true)", [name])
        reader.execute("SELECT pg_logical_emit_message(false, 'test', repeat('x', 10000))")
        yield name


@pytest.fixture
def databases(stack: Stack, known: Known) -> Iterator[Databases]:
    """Connections that may do anything, in transactions that are never committed; nothing happened in the last minute."""
    with ExitStack() as opened:
        made = {}
        for name in NAMES:
            dsn = psycopg.conninfo.make_conninfo(stack.env["POSTGRES_ADMIN_DSN"], dbname=name)
            connection = made[name] = opened.enter_context(psycopg.connect(dsn))
            opened.callback(connection.rollback)
            connection.execute("SET session_replication_role = replica")  # no triggers
        ids = [str(order) for order in known.ids]
        for name, table, key in (
            ("orders", "orders", "id"),
            ("payments", "payments", "order_id"),
            ("products", "reservations", "order_id"),
        ):
            statement = sql.SQL("UPDATE {} SET updated_at = now() - interval '1 minute' WHERE {} = ANY(%s::uuid[])")
            made[name].execute(statement.format(sql.Identifier(table), sql.Identifier(key)), [ids])
        made["orders"].execute(  # a confirmation may still be on its way
            "UPDATE dbos.workflow_status SET status = 'SUCCESS' WHERE left(workflow_uuid, 36) = ANY(%s)", [ids]
        )
        yield made


def found(databases: Databases, known: Known) -> dict[str, Verdict]:
    """Verdicts by name; of the rules over whole databases only what concerns our orders and product."""
    verdicts = check(databases, orders=known.ids)
    for verdict in verdicts:
        if verdict.name not in OF_ORDERS:
            ours = {*known.ids, UUID(known.product)}
            verdict.rows = [
                row for row in verdict.rows if ours & set(row.values()) or not {"order_id", "product_id"} & set(row)
            ]
    return {verdict.name: verdict for verdict in verdicts if verdict.rows}


PAYMENT = (
    "INSERT INTO payments (id, order_id, amount, captured, currency, status, method, updated_at) "
    "VALUES (gen_random_uuid(), '{other}', 5, 5, 'EUR', 'CAPTURED', 'card', now() - interval '1 minute')"
)
PENDING = (
    "INSERT INTO orders (id, user_id, status, currency, placed_at) "
    "VALUES ('{other}', gen_random_uuid(), 'PENDING', 'EUR', now() - interval '21 minutes')"
)
BREAKS: dict[str, list[Statements]] = {
    "confirmed_orders_are_paid": [
        [("payments", "DELETE FROM payments WHERE order_id = '{confirmed}'")],
        [("payments", "UPDATE payments SET captured = captured - 0.01 WHERE order_id = '{confirmed}'")],
        [("payments", "UPDATE payments SET captured = 0, status = 'VOIDED' WHERE order_id = '{confirmed}'")],
        [("payments", "UPDATE payments SET currency = 'USD' WHERE order_id = '{confirmed}'")],
    ],
    "confirmed_orders_have_their_goods": [
        [("products", "UPDATE reservations SET state = 'held' WHERE order_id = '{confirmed}'")],
        [("products", "UPDATE reservations SET quantity = 1 WHERE order_id = '{confirmed}' AND product_id = '{product}'")],
        [("products", "DELETE FROM reservations WHERE order_id = '{confirmed}' AND product_id = '{product}'")],
    ],
    "ended_orders_keep_no_money": [
        [("payments", "UPDATE payments SET refunded = refunded - 0.01, status = 'CAPTURED' WHERE order_id = '{cancelled}'")],
        [("payments", "UPDATE payments SET captured = amount, status = 'CAPTURED' WHERE order_id = '{failed}'")],
        [("payments", "UPDATE payments SET status = 'AUTHORISED' WHERE order_id = '{failed}'")],
    ],
    "ended_orders_hold_no_goods": [
        [("products", "UPDATE reservations SET state = 'held' WHERE order_id = '{failed}'")],
        [("products", "UPDATE reservations SET state = 'committed' WHERE order_id = '{cancelled}'")],
    ],
    "money_and_goods_have_an_order": [
        [("payments", PAYMENT)],
        [("products", "UPDATE reservations SET order_id = '{other}' WHERE order_id = '{confirmed}'")],
    ],
    "orders_add_up": [
        [("orders", "DELETE FROM order_items WHERE order_id = '{confirmed}' AND product_id = '{product}'")]
    ],
    "no_order_stays_pending": [[("orders", PENDING)]],
    "refunds_within_capture": [
        [
            ("payments", "ALTER TABLE payments DROP CONSTRAINT payments_refund_bound"),
            ("payments", "ALTER TABLE payments DROP CONSTRAINT payments_refunded_or_not"),
            ("payments", "UPDATE payments SET refunded = captured + 1 WHERE order_id = '{cancelled}'"),
        ]
    ],
    "refunds_sum_to_their_payment": [
        [("payments", "DELETE FROM refunds WHERE payment_id = (SELECT id FROM payments WHERE order_id = '{cancelled}')")]
    ],
    "debits_equal_credits": [
        [("payments", "UPDATE accounts SET debits_posted = debits_posted + 1 "
                      "WHERE ledger = 'EUR' AND code = 'provider_clearing'")]
    ],
    "accounts_are_the_sums_of_their_transfers": [
        [("payments", "UPDATE transfers SET amount = amount + 1 WHERE id LIKE '{confirmed}:capture%'")]
    ],
    "captures_are_posted": [
        [("payments", "UPDATE transfers SET amount = amount + 1 WHERE id LIKE '{confirmed}:capture%'")]
    ],
    "authorisations_are_pending": [
        [("payments", "UPDATE payments SET status = 'AUTHORISED' WHERE order_id = '{failed}'")]
    ],
    "stock_equals_its_reservations": [
        [("products", "UPDATE stock SET sold = sold - 1, available = available + 1 WHERE product_id = '{product}'")],
        [("products", "UPDATE reservations SET state = 'released' WHERE order_id = '{confirmed}'")],
    ],
    "stock_is_the_sum_of_its_movements": [
        [("products", "UPDATE stock SET available = available - 1 WHERE product_id = '{product}'")],
        [("products", "DELETE FROM stock_movements WHERE order_id = '{confirmed}'")],
    ],
    "lines_have_the_state_of_their_hold": [
        [("products", "UPDATE service.holds SET state = 'released' WHERE order_id = '{confirmed}'")]
    ],
    "no_hold_outlives_its_time": [
        [("products", "UPDATE service.holds SET state = 'held', expires_at = now() - interval '2 minutes' "
                      "WHERE order_id = '{confirmed}'")]
    ],
    "prices_are_their_last_change": [
        [("products", "UPDATE prices SET amount = amount + 0.01 WHERE product_id = '{product}'")]
    ],
}  # fmt: skip
CASES = [(name, statements) for name, ways in BREAKS.items() for statements in ways]


def test_every_invariant_is_broken_by_a_test() -> None:
    assert {rule.name for rule in rules()} | set(OF_ORDERS) == {*BREAKS, "events_leave_the_log"}


def test_orders_of_every_ending_break_nothing(databases: Databases, known: Known) -> None:
    assert found(databases, known) == {}


@pytest.mark.parametrize(("name", "statements"), CASES)
def test_a_broken_invariant_is_named(name: str, statements: Statements, databases: Databases, known: Known) -> None:
    for database, statement in statements:
        databases[database].execute(statement.format(**vars(known)).encode())
    assert name in found(databases, known)


def test_a_reader_of_the_log_that_falls_behind_is_named(slot: str, databases: Databases, known: Known) -> None:
    assert "events_leave_the_log" not in found(databases, known)
    databases["orders"].execute("SET LOCAL millrace.unread_bytes = 1000")
    assert slot in {row["slot_name"] for row in found(databases, known)["events_leave_the_log"].rows}


def test_what_is_still_moving_is_left_alone(databases: Databases, known: Known) -> None:
    """A payment that is gone shows at once, but not while a saga is at work or anything of its order has just changed."""
    databases["payments"].execute("DELETE FROM payments WHERE order_id = %s", [known.confirmed])
    assert "confirmed_orders_are_paid" in found(databases, known)
    saga = "UPDATE dbos.workflow_status SET status = %s WHERE workflow_uuid = %s"
    databases["orders"].execute(saga, ["PENDING", known.confirmed])
    assert "confirmed_orders_are_paid" not in found(databases, known)
    databases["orders"].execute(saga, ["SUCCESS", known.confirmed])
    assert "confirmed_orders_are_paid" in found(databases, known)
    databases["products"].execute("UPDATE reservations SET updated_at = now() WHERE order_id = %s", [known.confirmed])
    assert "confirmed_orders_are_paid" not in found(databases, known)


def test_the_look_at_everything_finds_the_same_as_the_look_at_one(databases: Databases, known: Known) -> None:
    databases["payments"].execute("DELETE FROM payments WHERE order_id = %s", [known.confirmed])
    for since in (None, 3600.0):
        verdict = next(v for v in check(databases, since_s=since) if v.name == "confirmed_orders_are_paid")
        assert UUID(known.confirmed) in {row["order_id"] for row in verdict.rows}


def test_orders_are_looked_at_in_pieces_each_once(
    databases: Databases, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = [order for piece in order_ids(databases, None) for order in piece]
    monkeypatch.setattr("services.invariants.databases._AT_ONCE", 2 + len(everything) // 7)
    pieces = list(order_ids(databases, None))
    assert [order for piece in pieces for order in piece] == everything == sorted(set(everything))
    assert len(pieces) > 1
    assert set(known.ids) - set(everything) == {UUID(known.other)}


def test_the_command_names_what_is_violated_and_its_status_says_so(stack: Stack) -> None:
    order = str(uuid4())

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "stack.commands.main", "check", "invariants", *arguments]
        return subprocess.run(command, env={**stack.env, "PATH": ""}, capture_output=True, text=True, check=False)

    with psycopg.connect(stack.env["ORDERS_DSN"], autocommit=True) as orders:
        orders.execute(
            "INSERT INTO orders (id, user_id, status, currency, updated_at) "
            "VALUES (%s, gen_random_uuid(), 'CONFIRMED', 'EUR', now() - interval '1 minute')",
            [order],
        )
        try:
            told = run("--json")
            read = run()
        finally:
            orders.execute("DELETE FROM orders WHERE id = %s", [order])
    assert (told.returncode, read.returncode) == (1, 1), told.stderr
    document: dict[str, Any] = json.loads(told.stdout)
    verdict = next(each for each in document["invariants"] if each["name"] == "confirmed_orders_are_paid")
    assert document["holds"] is False
    assert order in {row["order_id"] for row in verdict["rows"]}
    assert "VIOLATED  confirmed_orders_are_paid: " in read.stdout


def test_a_check_that_cannot_be_made_says_so(stack: Stack) -> None:
    broken = {
        **stack.env,
        "PATH": "",
        "ORDERS_AUDIT_DSN": stack.env["ORDERS_AUDIT_DSN"].replace("auditor:", "auditor:x"),
    }
    command = [sys.executable, "-m", "stack.commands.main", "check", "invariants"]
    done = subprocess.run(command, env=broken, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("millrace: the invariants cannot be checked: ")


def test_the_auditor_reads_all_and_changes_nothing(stack: Stack) -> None:
    with psycopg.connect(stack.env["ORDERS_AUDIT_DSN"], autocommit=True) as auditor:
        assert auditor.execute("SELECT count(*) >= 0 FROM orders").fetchone() == (True,)
        auditor.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            auditor.execute("DELETE FROM orders")


def test_the_process_shows_every_invariant_as_a_metric(stack: Stack) -> None:
    url = f"http://127.0.0.1:{stack.settings.port(OFFSETS['invariants'])}"
    told = httpx.get(f"{url}/metrics", trust_env=False).text
    for name in BREAKS:
        assert f'millrace_invariant_violations{{invariant="{name}"}}' in told
    assert httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
