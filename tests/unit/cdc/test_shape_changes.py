"""Which changes of shape are made in place and which take a new copy; columns are known by their number, not by their name."""

from dataclasses import replace

import pytest

from cdc.catalog import Column, Shape
from cdc.shape_changes import alteration, reason_to_copy_anew

ID = Column("id", "int4", nullable=False, number=1)
V = Column("v", "text", nullable=True, number=2)
N = Column("n", "int4", nullable=False, number=4)
BEFORE = Shape("shop", "public", "t", (ID, V, N), ("id",), relation=7, mark="m")


def shape(*columns: Column) -> Shape:
    """The table with these columns."""
    return replace(BEFORE, columns=columns)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (BEFORE, ""),
        (shape(ID, V, N, Column("w", "int4", nullable=False, number=5)), "added w"),
        (shape(ID, N), "dropped v"),
        (shape(ID, replace(V, nullable=False), N), ""),
        (shape(ID, V, replace(N, nullable=True)), "may be NULL now: n"),
        (replace(BEFORE, replica_identity="full"), ""),
    ],
)
def test_what_no_value_can_be_mistaken_by_is_done_in_place(now: Shape, words: str) -> None:
    assert reason_to_copy_anew(BEFORE, now) is None
    assert alteration(BEFORE, now).words == words


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (shape(ID, replace(V, name="w"), N), "column v was renamed to w"),
        (shape(ID, replace(V, number=5), N), "the name v is used again, by another column"),
        (shape(ID, replace(V, name="w"), N, replace(V, number=5)), "column v was renamed to w"),
        (shape(ID, replace(V, type="int4"), N), "has changed its type from text to int4"),
        (shape(ID, replace(V, stored_as="LowCardinality(String)"), N), "is declared to be kept otherwise"),
        (replace(BEFORE, key=("id", "n")), "its key was (id), is (id, n)"),
        (replace(BEFORE, relation=8), "another table has its name now"),
        (replace(BEFORE, append_only=True), "it is declared append_only now"),
    ],
)
def test_any_other_change_takes_a_new_copy_and_says_why(now: Shape, says: str) -> None:
    assert says in (reason_to_copy_anew(BEFORE, now) or "")


def test_an_array_that_may_be_null_now_takes_a_new_copy_as_it_is_kept_otherwise() -> None:
    array = Column("a", "_int4", nullable=False, element="int4", dimensions=1, number=2)
    assert reason_to_copy_anew(shape(ID, array), shape(ID, replace(array, nullable=True))) is not None


def test_a_name_that_a_column_had_once_is_not_given_to_another_in_place() -> None:
    without = alteration(BEFORE, shape(ID, N)).after
    assert reason_to_copy_anew(without, shape(ID, N, replace(V, number=5))) is not None


def test_a_late_column_stays_optional_in_the_copy() -> None:
    late = replace(V, nullable=False, late=True)
    assert reason_to_copy_anew(shape(ID, late), shape(ID, V)) is None
    assert alteration(shape(ID, V), shape(ID, replace(V, nullable=False))).after.columns[1].late
