"""What the search reads from typed words, and how it folds, marks and signs."""

import time
import unicodedata
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from cdc.documents import folding as engine
from services.kit.ids import uuid7
from services.kit.problem import Unprocessable
from services.search import folding, highlights, words
from services.search.cursors import KEEP_ALIVE_S, Cursors, Expired
from services.search.query import BEGIN, END
from services.search.schemas import MAX_CLICK_AGE_S, Click, DeepQuery


def test_the_engine_and_the_search_fold_every_character_alike() -> None:
    letters = [chr(code) for code in (*range(0x20000), *range(0x2F800, 0x2FA20))]
    assert [letter for letter in letters if engine.fold(letter) != folding.fold(letter)] == []


def test_folding_twice_changes_nothing_more() -> None:
    letters = [chr(code) for code in range(0x3000)]
    assert [letter for letter in letters if folding.fold(folding.fold(letter)) != folding.fold(letter)] == []


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Café", "cafe"),
        (unicodedata.normalize("NFD", "Café"), "cafe"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("Søren", "soren"),
        ("Œuvre Łódź", "oeuvre lodz"),
        ("Chef’s", "chef's"),
        ("ﬁne", "fine"),
        ("名前", "名前"),
        ("が", "が"),
        ("한국", "한국"),
    ],
)
def test_case_and_accents_are_folded(text: str, folded: str) -> None:
    assert folding.fold(text) == folded


@pytest.mark.parametrize(
    ("typed", "text", "low", "high"),
    [
        ("lamp under 50", "lamp", None, "49.99"),
        ("lamp below €50", "lamp", None, "49.99"),
        ("cheaper than 9,90 € pen", "pen", None, "9.89"),
        ("up to 30 euros", "", None, "30"),
        ("between 20 and 40 euro tent", "tent", "20", "40"),
        ("between 40 and 20", "", "20", "40"),
        ("20-40 € tent", "tent", "20", "40"),
        ("from 20 to 40 EUR", "", "20", "40"),
        ("over 100 under 200 monitor", "monitor", "100.01", "199.99"),
        ("bag from €30", "bag", "30", None),
        ("at least 30 euro bag", "bag", "30", None),
        ("monitor over 27 inch", "monitor over 27 inch", None, None),
        ("bottle under 1 litre", "bottle under 1 litre", None, None),
        ("air max 90", "air max 90", None, None),
        ("up to 30", "up to 30", None, None),
        ("tent 2 to 4", "tent 2 to 4", None, None),
        ("under 1000000000", "under 1000000000", None, None),
        ("underwear 50", "underwear 50", None, None),
        ("under", "under", None, None),
    ],
)
def test_words_about_the_price(typed: str, text: str, low: str | None, high: str | None) -> None:
    read = words.read(typed)
    assert (read.text, read.min_price, read.max_price) == (text, low and Decimal(low), high and Decimal(high))
    assert bool(read.understood) == (low is not None or high is not None)


@pytest.mark.parametrize(("typed", "first"), [("cheapest tent", True), ("most expensive tent", False), ("tent", None)])
def test_words_about_the_order(typed: str, first: bool | None) -> None:
    read = words.read(typed)
    assert (read.text, read.cheapest_first, read.cheap) == ("tent", first, False)


@pytest.mark.parametrize(("typed", "cheap"), [("cheap tent", True), ("inexpensive tent", True), ("tent", False)])
def test_cheap_is_no_order(typed: str, cheap: bool) -> None:
    read = words.read(typed)
    assert (read.text, read.cheapest_first, read.cheap) == ("tent", None, cheap)


def marked(name: str, passage: str) -> dict[str, Any]:
    return {"_source": {"name": name}, "highlight": {"name_folded": [passage.replace("[", BEGIN).replace("]", END)]}}


@pytest.mark.parametrize(
    ("name", "passage", "html"),
    [
        ("Café Tasse", "[cafe] tasse", "<em>Café</em> Tasse"),
        ("Große Straße <1>", "grosse [strasse] <1>", "Große <em>Straße</em> &lt;1&gt;"),
        ("Straßenlaterne", "[strass]enlaterne", "<em>Straß</em>enlaterne"),
        (unicodedata.normalize("NFD", "Café au lait"), "[cafe] au [lait]", "<em>Cafe\u0301</em> au <em>lait</em>"),
        ("A & B", "[a] & [b]", "<em>A</em> &amp; <em>B</em>"),
    ],
)
def test_found_words_are_marked_in_the_original(name: str, passage: str, html: str) -> None:
    assert highlights.shown(marked(name, passage)) == {"name": [html]}


def test_a_passage_of_another_text_is_not_shown() -> None:
    assert highlights.shown(marked("Other", "[cafe]")) == {}


def deep(**parameters: Any) -> DeepQuery:
    return DeepQuery.model_validate(parameters)


def test_a_cursor_comes_back_as_it_was_written() -> None:
    cursors = Cursors("secret")
    cursor = cursors.write(deep(q="tent"), "point", [1.25, None, "id"])
    place = cursors.read(deep(q="tent", limit="7", cursor=cursor), cursor)
    assert (place.point, place.after) == ("point", [1.25, None, "id"])


@pytest.mark.parametrize(
    "spoil", [lambda c: c[:-2], lambda c: "A" + c[1:], lambda _: "!", lambda _: "", lambda c: c + "A"]
)
def test_a_changed_cursor_is_refused(spoil: Any) -> None:
    cursors = Cursors("secret")
    cursor = cursors.write(deep(q="tent"), "point", [1])
    assert spoil(cursor) != cursor
    with pytest.raises(Unprocessable, match="not one of this search"):
        cursors.read(deep(q="tent"), spoil(cursor))


@pytest.mark.parametrize("other", [{"q": "lamp"}, {"q": "tent", "sort": "newest"}, {"q": "tent", "brand": "Fells"}])
def test_a_cursor_of_another_search_is_refused(other: dict[str, str]) -> None:
    cursors = Cursors("secret")
    cursor = cursors.write(deep(q="tent"), "point", [1])
    with pytest.raises(Unprocessable):
        cursors.read(deep(**other), cursor)


def test_a_cursor_made_with_another_secret_is_refused() -> None:
    with pytest.raises(Unprocessable):
        Cursors("secret").read(deep(), Cursors("other").write(deep(), "point", [1]))


def test_an_old_cursor_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    cursors = Cursors("secret")
    now = time.time()
    cursor = cursors.write(deep(), "point", [1])
    monkeypatch.setattr("services.search.cursors.time.time", lambda: now + KEEP_ALIVE_S + 1)
    with pytest.raises(Expired):
        cursors.read(deep(), cursor)


def _aged(seconds: float) -> UUID:
    return UUID(int=uuid7().int - (int(seconds * 1000) << 80))


def test_a_click_belongs_to_a_search_of_the_last_day() -> None:
    click = {"product_id": str(uuid7()), "position": 1}
    Click.model_validate(click | {"query_id": str(uuid7())})
    Click.model_validate(click | {"query_id": str(_aged(MAX_CLICK_AGE_S - 60))})
    for wrong in (_aged(MAX_CLICK_AGE_S + 60), _aged(-300), UUID(int=0), UUID("9b2f9a2e-7c9a-4a5e-9d5e-0c6f8b1f6a11")):
        with pytest.raises(ValidationError, match="not the id of a search of the last day"):
            Click.model_validate(click | {"query_id": str(wrong)})
