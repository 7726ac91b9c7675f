"""The ledger's rules are the database's: plain SQL of the service's own role cannot break them."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
import pytest
from psycopg import errors

from services.invariants.rules import queries

BROKEN = queries("payments")

CLEARING, PAID, UNOWED, DOLLARS = 110, 120, 130, 210

INSERT: LiteralString = """
    INSERT INTO transfers (id, debit_account, credit_account, amount, ledger, code, kind, pending_id, expires_at)
    VALUES (%(id)s, %(debit)s, %(credit)s, %(amount)s, %(ledger)s, %(code)s, %(kind)s, %(pending)s, %(expires)s)"""


@pytest.fixture
def database(payments_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """As the service's role; every rule holds after the test too."""
    with psycopg.connect(payments_dsn, autocommit=True) as connection:
        yield connection
        assert {name: connection.execute(query).fetchall() for name, query in BROKEN.items()} == {
            name: [] for name in BROKEN
        }


def put(database: psycopg.Connection[Any], **members: Any) -> int:
    """Insert a transfer of 10.00 EUR; how many rows that made."""
    values = {
        "id": uuid4().hex,
        "debit": CLEARING,
        "credit": PAID,
        "amount": "10.00",
        "ledger": "EUR",
        "code": "test",
        "kind": "plain",
        "pending": None,
        "expires": None,
    }
    return database.execute(INSERT, {**values, **members}).rowcount


def balance(database: psycopg.Connection[Any], account: int = CLEARING) -> tuple[Decimal, ...]:
    """(debits pending, debits posted, credits pending, credits posted)."""
    row = database.execute(
        "SELECT debits_pending, debits_posted, credits_pending, credits_posted FROM accounts WHERE id = %s", [account]
    ).fetchone()
    assert row is not None
    return tuple(row)


def moved(before: tuple[Decimal, ...], after: tuple[Decimal, ...]) -> tuple[object, ...]:
    return tuple(new - old for old, new in zip(before, after, strict=True))


def test_a_transfer_moves_both_accounts(database: psycopg.Connection[Any]) -> None:
    before = [balance(database, account) for account in (CLEARING, PAID, DOLLARS)]
    assert put(database) == 1
    after = [balance(database, account) for account in (CLEARING, PAID, DOLLARS)]
    assert [moved(*pair) for pair in zip(before, after, strict=True)] == [(0, 10, 0, 0), (0, 0, 0, 10), (0, 0, 0, 0)]


def test_the_same_id_again_moves_nothing_and_with_other_contents_is_refused(database: psycopg.Connection[Any]) -> None:
    put(database, id="once")
    before = balance(database)
    assert put(database, id="once") == 0
    assert database.execute(f"{INSERT} ON CONFLICT DO NOTHING", transfer(id="once")).rowcount == 0
    for other in ({"amount": "10.01"}, {"credit": UNOWED}, {"code": "other"}, {"kind": "pending"}):
        with pytest.raises(errors.UniqueViolation, match="other contents"):
            put(database, id="once", **other)
    assert balance(database) == before


def transfer(**members: Any) -> dict[str, Any]:
    values = {"debit": CLEARING, "credit": PAID, "amount": "10.00", "ledger": "EUR", "code": "test", "kind": "plain"}
    return {**values, "pending": None, "expires": None, **members}


def test_a_pending_transfer_is_posted_in_part_and_the_rest_is_freed(database: psycopg.Connection[Any]) -> None:
    before = balance(database)
    put(database, id="reserve", kind="pending")
    assert moved(before, balance(database)) == (10, 0, 0, 0)
    put(database, kind="post", pending="reserve", amount="4.00")
    assert moved(before, balance(database)) == (0, 4, 0, 0)


def test_a_pending_transfer_is_voided_whole(database: psycopg.Connection[Any]) -> None:
    before = balance(database)
    put(database, id="reserved", kind="pending")
    with pytest.raises(errors.CheckViolation, match=r"cannot void 4\.00 of 10\.00"):
        put(database, kind="void", pending="reserved", amount="4.00")
    put(database, kind="void", pending="reserved")
    assert balance(database) == before


@pytest.mark.parametrize("second", ["post", "void"])
@pytest.mark.parametrize("first", ["post", "void"])
def test_what_is_pending_is_resolved_once(database: psycopg.Connection[Any], first: str, second: str) -> None:
    pending = uuid4().hex
    put(database, id=pending, kind="pending")
    put(database, kind=first, pending=pending)
    before = balance(database)
    with pytest.raises(errors.UniqueViolation, match="transfers_resolved_once"):
        put(database, kind=second, pending=pending)
    assert balance(database) == before


def test_what_has_expired_can_be_voided_and_no_longer_posted(database: psycopg.Connection[Any]) -> None:
    before = balance(database)
    put(database, id="old", kind="pending", expires="2020-01-01T00:00Z")
    with pytest.raises(errors.CheckViolation, match="has expired"):
        put(database, kind="post", pending="old")
    put(database, kind="void", pending="old")
    assert balance(database) == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": "0.00"},
        {"amount": "-1.00"},
        {"amount": "99999999999.00"},
        {"amount": "NaN"},
        {"credit": CLEARING},
        {"credit": DOLLARS},
        {"debit": 999},
        {"ledger": "USD"},
        {"ledger": "eur"},
        {"kind": "gift"},
        {"kind": "post"},
        {"kind": "post", "pending": "unknown"},
        {"kind": "plain", "pending": "unknown"},
        {"kind": "plain", "expires": "2099-01-01T00:00Z"},
        {"id": ""},
        {"code": ""},
        {"debit": PAID, "credit": CLEARING, "amount": "9999999999.00"},
        {"debit": PAID, "credit": CLEARING, "amount": "9999999999.00", "kind": "pending"},
        {"debit": UNOWED, "credit": CLEARING, "amount": "9999999999.00"},
    ],
    ids=str,
)
def test_a_wrong_transfer_is_refused_whole(database: psycopg.Connection[Any], wrong: dict[str, Any]) -> None:
    before = [balance(database, account) for account in (CLEARING, PAID, UNOWED, DOLLARS)]
    with pytest.raises((errors.IntegrityError, errors.DataError)):
        put(database, **wrong)
    assert [balance(database, account) for account in (CLEARING, PAID, UNOWED, DOLLARS)] == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": "10.01"},
        {"debit": UNOWED},
        {"debit": PAID, "credit": CLEARING},
        {"ledger": "USD", "debit": DOLLARS, "credit": DOLLARS + 10},
    ],
    ids=str,
)
def test_a_post_must_fit_what_is_pending(database: psycopg.Connection[Any], wrong: dict[str, Any]) -> None:
    pending = uuid4().hex
    put(database, id=pending, kind="pending")
    put(database)
    with pytest.raises(errors.IntegrityError):
        put(database, kind="post", pending=pending, **wrong)
    put(database, kind="void", pending=pending)


def test_a_rounded_amount_is_the_amount_that_moved(database: psycopg.Connection[Any]) -> None:
    before = balance(database)
    put(database, amount="0.014")
    assert moved(before, balance(database)) == (0, Decimal("0.01"), 0, 0)


@pytest.mark.parametrize(
    "attempt",
    [
        "UPDATE transfers SET amount = 1",
        "UPDATE transfers SET code = 'x' WHERE false",
        "DELETE FROM transfers",
        "TRUNCATE transfers",
        "DELETE FROM accounts",
        "TRUNCATE accounts CASCADE",
        "UPDATE accounts SET debits_posted = debits_posted + 1",
        "UPDATE accounts SET name = name",
        "UPDATE accounts SET debits_must_not_exceed_credits = false",
        "INSERT INTO accounts (id, ledger, code, name, credits_posted) VALUES (1, 'EUR', 'mine', 'Mine', 5)",
        "INSERT INTO accounts (id, ledger, code, name) VALUES (1, 'EUR', 'provider_clearing', 'Twice')",
        "SELECT FROM transfers FOR UPDATE",
    ],
)
def test_nothing_that_was_written_can_be_changed(database: psycopg.Connection[Any], attempt: LiteralString) -> None:
    put(database)
    with pytest.raises((errors.InsufficientPrivilege, errors.UniqueViolation)):
        database.execute(attempt)


def test_the_trigger_refuses_too_when_the_right_was_granted_again(database: psycopg.Connection[Any]) -> None:
    put(database)
    for attempt in ("UPDATE transfers SET amount = 1", "DELETE FROM transfers", "TRUNCATE transfers"):
        with database.transaction(force_rollback=True):
            database.execute("GRANT UPDATE, DELETE, TRUNCATE ON transfers TO CURRENT_USER")
            with pytest.raises(errors.InsufficientPrivilege, match="append-only"), database.transaction():
                database.execute(attempt)


def test_a_rollback_takes_the_balances_with_it(database: psycopg.Connection[Any]) -> None:
    before = balance(database)
    with database.transaction(force_rollback=True):
        put(database)
    assert balance(database) == before


def at_once(dsn: str, attempts: list[dict[str, Any]]) -> Counter[str]:
    """Every transfer from a connection of its own, all together; what became of them."""

    def one(members: dict[str, Any]) -> str:
        with psycopg.connect(dsn, autocommit=True) as connection:
            try:
                return "made" if put(connection, **members) else "there"
            except errors.IntegrityError as error:
                return error.diag.constraint_name or "?"

    with ThreadPoolExecutor(20) as pool:
        return Counter(pool.map(one, attempts))


def test_of_twenty_posts_and_voids_at_once_one_wins(database: psycopg.Connection[Any], payments_dsn: str) -> None:
    put(database, id="wanted", kind="pending")
    kinds = [{"kind": kind, "pending": "wanted"} for kind in ("post", "void") * 10]
    assert at_once(payments_dsn, kinds) == {"made": 1, "transfers_resolved_once": 19}


def test_twenty_times_the_same_transfer_at_once_is_made_once(
    database: psycopg.Connection[Any], payments_dsn: str
) -> None:
    before = balance(database)
    assert at_once(payments_dsn, [{"id": "all the same"}] * 20) == {"made": 1, "there": 19}
    assert moved(before, balance(database)) == (0, 10, 0, 0)


def test_withdrawals_at_once_never_overdraw(database: psycopg.Connection[Any], payments_dsn: str) -> None:
    put(database, credit=UNOWED, amount="30.00")
    way_back = {"debit": UNOWED, "credit": CLEARING}
    assert at_once(payments_dsn, [way_back] * 20) == {"made": 3, "accounts_debits_within_credits": 17}
