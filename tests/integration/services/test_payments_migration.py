"""Payments that were captured at once, before there was a ledger, have their transfers after the migration."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from services.invariants.rules import queries
from services.kit.migrate import SERVICES, apply, read
from tests.integration.services.shop import Stack

BROKEN = queries("payments")


@pytest.fixture
def old_dsn(stack: Stack) -> Iterator[str]:
    """A database as it was with the first migration only."""
    name = f"test_{uuid4().hex}"
    with psycopg.connect(stack.env["POSTGRES_ADMIN_DSN"], autocommit=True) as admin:
        admin.execute(SQL("CREATE DATABASE {} OWNER payments").format(Identifier(name)))
        dsn = make_conninfo(stack.env["PAYMENTS_DSN"], dbname=name)
        apply(dsn, read(SERVICES / "payments" / "migrations")[:1])
        yield dsn
        admin.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def test_earlier_payments_are_taken_over(old_dsn: str) -> None:
    rows = [
        ("CAPTURED", "EUR", "10.00", "0.00", None),
        ("CAPTURED", "XTS", "10.00", "2.50", None),
        ("REFUNDED", "EUR", "10.00", "10.00", None),
        ("DECLINED", "EUR", "10.00", "0.00", "card_declined"),
        ("DECLINED", "EUR", "10.00", "0.00", "voided"),
        ("PENDING", "EUR", "10.00", "0.00", None),
    ]
    with psycopg.connect(old_dsn, autocommit=True) as database:
        for status, currency, amount, refunded, failure in rows:
            payment = uuid4()
            database.execute(
                """INSERT INTO payments (id, order_id, status, currency, amount, refunded, failure_code, method)
                   VALUES (%s, %s, %s, %s, %s, %s, %s, 'card')""",
                [payment, uuid4(), status, currency, amount, refunded, failure],
            )
            if refunded != "0.00":
                database.execute(
                    "INSERT INTO refunds (id, payment_id, amount, reason) VALUES (%s, %s, %s, 'broken')",
                    [uuid4(), payment, refunded],
                )
        assert apply(old_dsn, read(SERVICES / "payments" / "migrations"))
        for name, query in BROKEN.items():
            assert database.execute(query).fetchall() == [], name
        statuses = database.execute(
            "SELECT status, captured::text, failure_code FROM payments ORDER BY status, captured"
        ).fetchall()
        assert statuses == [
            ("CAPTURED", "10.00", None),
            ("CAPTURED", "10.00", None),
            ("DECLINED", "0.00", "card_declined"),
            ("PENDING", "0.00", None),
            ("REFUNDED", "10.00", None),
            ("VOIDED", "0.00", None),
        ]
        [(left,)] = database.execute(
            "SELECT credits_posted - debits_posted FROM accounts WHERE ledger = 'XTS' AND code = 'customer_payments'"
        ).fetchall()
        assert str(left) == "7.50"
