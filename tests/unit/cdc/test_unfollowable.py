"""Which changes of shape are followed; columns are known by their number, not by their name."""

from dataclasses import replace

import pytest

from cdc.catalog import Column, Shape
from cdc.shapes import unfollowable

ID = Column("id", "int4", nullable=False, number=1)
V = Column("v", "text", nullable=True, number=2)
BEFORE = Shape("shop", "public", "t", (ID, V), ("id",))


def shape(*columns: Column) -> Shape:
    """The table with these columns."""
    return replace(BEFORE, columns=columns)


@pytest.mark.parametrize(
    "now",
    [
        BEFORE,
        shape(ID, V, Column("w", "int4", nullable=False, number=3)),
        shape(ID, replace(V, nullable=False)),
        replace(BEFORE, replica_identity="full"),
    ],
)
def test_added_columns_and_a_later_not_null_are_followed(now: Shape) -> None:
    assert unfollowable(BEFORE, now) is None


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (None, "dropped or renamed"),
        (shape(ID), "column v was dropped"),
        (shape(ID, replace(V, name="w")), "column v was renamed to w"),
        (shape(ID, replace(V, number=3)), "column v was dropped"),
        (shape(ID, replace(V, name="w"), replace(V, number=3)), "column v was renamed to w"),
        (shape(ID, replace(V, type="int4")), "has changed its type from text to int4"),
        (shape(replace(ID, nullable=True), V), "column id may be NULL now"),
        (replace(BEFORE, key=("id", "v")), "its key was (id), is (id, v)"),
    ],
)
def test_any_other_change_says_what_it_is_and_what_to_do(now: Shape | None, says: str) -> None:
    reason = unfollowable(BEFORE, now) or ""
    assert says in reason
    assert "include it again" in reason


def test_a_late_column_stays_optional_in_the_copy() -> None:
    late = replace(V, nullable=False, late=True)
    assert unfollowable(shape(ID, late), shape(ID, V)) is None
