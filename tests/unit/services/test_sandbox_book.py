"""The sandbox provider's book: once per reference, never more back than taken, and nothing forgotten."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from services.kit.problem import Conflict, NotFound
from services.payments.sandbox.book import Book

TEN = Decimal("10.00")


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    opened = Book(tmp_path / "provider" / "book.sqlite")
    yield opened
    opened.close()


def test_a_reference_is_charged_once(book: Book) -> None:
    first, made = book.charge("order", TEN, "EUR", None)
    again, made_again = book.charge("order", TEN, "EUR", "card_declined")
    assert (made, made_again) == (True, False)
    assert first == again
    assert first.status == "captured"


def test_a_reference_cannot_be_used_for_another_amount(book: Book) -> None:
    book.charge("order", TEN, "EUR", None)
    with pytest.raises(Conflict):
        book.charge("order", TEN + 1, "EUR", None)


def test_refunds_never_exceed_the_charge(book: Book) -> None:
    charge, _ = book.charge("order", TEN, "EUR", None)
    first = book.refund(charge.id, "r1", Decimal("6.00"))
    assert book.refund(charge.id, "r1", Decimal("6.00")) == first
    with pytest.raises(Conflict):
        book.refund(charge.id, "r2", Decimal("4.01"))
    book.refund(charge.id, "r3", Decimal("4.00"))


def test_only_a_captured_charge_can_be_refunded(book: Book) -> None:
    declined, _ = book.charge("order", TEN, "EUR", "card_declined")
    for charge_id in (declined.id, "ch_unknown"):
        with pytest.raises(NotFound):
            book.refund(charge_id, "r", TEN)


def test_a_restart_forgets_nothing(book: Book, tmp_path: Path) -> None:
    charge, _ = book.charge("order", TEN, "EUR", None)
    book.close()
    reopened = Book(tmp_path / "provider" / "book.sqlite")
    assert reopened.charges("order") == [charge]
    reopened.close()
