"""Cursors: they lead on, and only those that this list gave out are taken."""

import base64
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.ids import uuid7
from services.kit.pagination import BEGINNING, Cursors
from services.kit.problem import Unprocessable

cursors = Cursors("secret")


@given(st.uuids(), st.text(alphabet=st.characters(codec="utf-8")))
def test_a_cursor_comes_back_as_it_was_given(identifier: UUID, scope: str) -> None:
    assert cursors.read(scope, cursors.write(scope, identifier)) == identifier


def test_without_a_cursor_the_list_begins() -> None:
    assert cursors.read("users", None) == BEGINNING


@given(st.text(max_size=200))
def test_broken_cursors_are_refused(text: str) -> None:
    with pytest.raises(Unprocessable):
        cursors.read("users", text)


def test_forged_cursors_are_refused() -> None:
    good = cursors.write("users", uuid7())
    raw = bytearray(base64.urlsafe_b64decode(good + "=="))
    raw[0] ^= 1
    changed = base64.urlsafe_b64encode(raw).decode()
    for forged in (changed, good[:-4], good + good, Cursors("other").write("users", uuid7()), f"{good}%00"):
        with pytest.raises(Unprocessable):
            cursors.read("users", forged)


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(Unprocessable):
        cursors.read("orders of somebody else", cursors.write("orders", uuid7()))


@pytest.mark.parametrize(("rows", "limit", "more"), [(0, 2, False), (2, 2, False), (3, 2, True)])
def test_a_page_shows_the_limit_and_whether_more_follows(rows: int, limit: int, more: bool) -> None:
    ids = [uuid7() for _ in range(rows)]
    page = cursors.page("list", ids, limit, lambda row: row, str)
    assert page.items == [str(identifier) for identifier in ids[:limit]]
    assert (page.next_cursor is not None) == more
    if page.next_cursor is not None:
        assert cursors.read("list", page.next_cursor) == ids[limit - 1]
