"""The sandbox provider's book: once per reference, never more back than taken, and nothing forgotten."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.kit.problem import Conflict, NotFound
from services.payments.sandbox.book import Book, InProgress


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(tmp_path: Path, clock: Clock) -> Iterator[Book]:
    opened = Book(tmp_path / "provider" / "book.sqlite", clock)
    yield opened
    opened.close()


def captured(book: Book, reference: str = "order", amount: str = "10.00") -> str:
    """The id of a captured charge."""
    charge = book.authorise(reference, amount, "EUR", "tok_ok")
    return book.capture(charge.id).id


def test_a_reference_is_charged_once(book: Book) -> None:
    first = book.authorise("order", "10.00", "EUR", "tok_ok")
    again = book.authorise("order", "10.00", "EUR", "tok_ok", "card_declined")
    assert first == again
    assert first.status == "authorised"


def test_a_reference_cannot_be_used_for_another_amount(book: Book) -> None:
    book.authorise("order", "10.00", "EUR", "tok_ok")
    with pytest.raises(Conflict):
        book.authorise("order", "11.00", "EUR", "tok_ok")


def test_what_is_captured_cannot_be_voided_and_what_is_voided_not_captured(book: Book) -> None:
    taken = captured(book, "taken")
    assert book.capture(taken).status == "captured"
    with pytest.raises(Conflict, match="is captured"):
        book.void(taken)
    let_go = book.authorise("let go", "10.00", "EUR", "tok_ok").id
    assert [book.void(let_go).status, book.void(let_go).status] == ["voided", "voided"]
    with pytest.raises(Conflict, match="is voided"):
        book.capture(let_go)


def test_an_authorisation_can_be_withdrawn_at_the_capture(book: Book) -> None:
    charge = book.authorise("order", "10.00", "EUR", "tok_ok")
    withdrawn = book.capture(charge.id, failure_code="withdrawn")
    assert (withdrawn.status, withdrawn.failure_code) == ("voided", "withdrawn")


def test_refunds_never_exceed_the_charge(book: Book) -> None:
    charge = captured(book)
    first = book.refund(charge, "r1", "6.00")
    assert book.refund(charge, "r1", "6.00") == first
    with pytest.raises(Conflict):
        book.refund(charge, "r2", "4.01")
    book.refund(charge, "r3", "4.00")
    assert [refund.amount for refund in book.charge(charge).refunds] == ["6.00", "4.00"]


def test_only_a_captured_charge_can_be_refunded(book: Book) -> None:
    declined = book.authorise("declined", "10.00", "EUR", "tok_ok", "card_declined")
    authorised = book.authorise("authorised", "10.00", "EUR", "tok_ok")
    for charge_id in (declined.id, authorised.id, "ch_unknown"):
        with pytest.raises(NotFound):
            book.refund(charge_id, "r", "1.00")


def test_a_command_put_off_is_in_progress_then_done_at_the_next_look(book: Book, clock: Clock) -> None:
    book.put_off(3, "authorise", "order", reference="order", amount="10.00", currency="EUR", token="tok_late")
    with pytest.raises(InProgress):
        book.require_idle("authorise", "order")
    assert book.under("order") == []
    clock.now += 3
    [charge] = book.under("order")
    assert (charge.status, charge.updated_at) == ("authorised", clock.now)
    book.require_idle("authorise", "order")


def test_a_capture_put_off_is_dropped_when_the_charge_was_voided_meanwhile(book: Book, clock: Clock) -> None:
    charge = book.authorise("order", "10.00", "EUR", "tok_ok")
    book.put_off(3, "capture", charge.id, charge_id=charge.id)
    book.void(charge.id)
    clock.now += 3
    assert book.charge(charge.id).status == "voided"


def test_the_list_by_time_gives_every_change_once_in_pages(book: Book, clock: Clock) -> None:
    made = []
    for number in range(5):
        clock.now += number % 2
        made.append(book.authorise(f"order {number}", "1.00", "EUR", "tok_ok").id)
    clock.now += 1
    book.capture(made[0])
    seen: list[str] = []
    after = (-1.0, "")
    while page := book.changed(0.0, after, 2):
        seen += [charge.id for charge in page]
        after = (page[-1].updated_at, page[-1].id)
    assert seen == [*made[1:], made[0]]
    assert [charge.id for charge in book.changed(clock.now, (-1.0, ""), 10)] == [made[0]]


def test_attempts_are_counted_per_operation_and_matter(book: Book) -> None:
    assert [book.attempt("capture", "a"), book.attempt("capture", "a"), book.attempt("void", "a")] == [1, 2, 1]


def test_a_restart_forgets_nothing(book: Book, tmp_path: Path, clock: Clock) -> None:
    charge = book.charge(captured(book))
    book.attempt("capture", "a")
    book.put_off(3, "authorise", "late", reference="late", amount="1.00", currency="EUR", token="t")
    book.close()
    clock.now += 3
    reopened = Book(tmp_path / "provider" / "book.sqlite", clock)
    assert reopened.under("order") == [charge]
    assert reopened.attempt("capture", "a") == 2
    assert [found.status for found in reopened.under("late")] == ["authorised"]
    reopened.close()


def test_a_book_of_the_first_edition_keeps_its_charges(tmp_path: Path) -> None:
    file = tmp_path / "book.sqlite"
    with sqlite3.connect(file) as first:
        first.executescript(
            """CREATE TABLE charge (reference TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, amount TEXT NOT NULL,
                   currency TEXT NOT NULL, status TEXT NOT NULL, failure_code TEXT);
               CREATE TABLE refund (reference TEXT PRIMARY KEY, id TEXT NOT NULL,
                   charge_id TEXT NOT NULL REFERENCES charge (id), amount TEXT NOT NULL);
               CREATE INDEX refund_charge_id ON refund (charge_id);
               INSERT INTO charge VALUES ('order', 'ch_1', '10.00', 'EUR', 'captured', NULL);
               INSERT INTO refund VALUES ('r1', 're_1', 'ch_1', '4.00');"""
        )
    first.close()
    book = Book(file)
    [charge] = book.under("order")
    assert (charge.id, charge.status, [refund.id for refund in charge.refunds]) == ("ch_1", "captured", ["re_1"])
    book.refund("ch_1", "r2", "6.00")
    book.close()
