"""What a copy hides stays hidden, whatever its column or its table is called now; another mask is told apart from another name."""

from dataclasses import replace

import pytest

from cdc.catalog import Column, Shape
from cdc.hiding import hides, remasked, shown
from cdc.shape_changes import reason_to_copy_anew

ID = Column("id", "int4", nullable=False, number=1)
EMAIL = Column("email", "text", nullable=True, number=2, mask="hash")
NICK = Column("nick", "text", nullable=True, number=3)
BEFORE = Shape("shop", "public", "t", (ID, EMAIL, NICK), ("id",), relation=7, hidden=(4,))
SECRET = Column("secret", "text", nullable=True, number=4)


def shape(*columns: Column) -> Shape:
    """The table with these columns."""
    return replace(BEFORE, columns=columns)


CLEAR = replace(EMAIL, name="mail", mask=None)


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (shape(ID, CLEAR, NICK), "public.t.email is held masked by hash and is called public.t.mail now"),
        (shape(ID, CLEAR, NICK, replace(EMAIL, number=5)), "is called public.t.mail now"),
        (shape(ID, replace(EMAIL, name="nick", mask=None), replace(NICK, name="email", mask="hash")), "called public.t.nick"),
        (replace(BEFORE, table="u", columns=(ID, replace(EMAIL, mask=None), NICK)), "is called public.u.email now"),
        (shape(ID, EMAIL, NICK, replace(SECRET, name="plain")), "column plain was excluded when public.t was captured"),
        (replace(BEFORE, table="u", columns=(ID, SECRET)), "column secret was excluded when public.t was captured"),
    ],
)  # fmt: skip
def test_a_hidden_column_is_known_by_its_number_under_any_name(now: Shape, says: str) -> None:
    assert says in (shown([BEFORE], now) or "")


@pytest.mark.parametrize(
    "now",
    [
        BEFORE,
        shape(ID, replace(EMAIL, name="mail"), NICK),
        shape(ID, EMAIL, replace(NICK, name="name"), Column("w", "int4", nullable=True, number=5)),
        replace(BEFORE, table="u"),
        replace(BEFORE, relation=8, columns=(ID, CLEAR)),
    ],
)
def test_what_stays_hidden_or_is_another_table_is_not_stopped(now: Shape) -> None:
    assert shown([BEFORE], now) is None


def test_another_mask_is_told_from_another_name() -> None:
    assert remasked(BEFORE, shape(ID, replace(EMAIL, mask=None), NICK)) == (
        "email is held masked by hash, and declared in clear"
    )
    assert remasked(BEFORE, shape(ID, EMAIL, replace(NICK, mask="redact"))) == (
        "nick is held in clear, and declared masked by redact"
    )
    assert remasked(BEFORE, shape(ID, CLEAR, NICK)) is None
    assert remasked(BEFORE, shape(ID, replace(EMAIL, nullable=False, type="varchar"), NICK)) is None


def test_another_table_of_the_name_is_masked_otherwise_where_a_columns_name_is() -> None:
    other = replace(BEFORE, relation=8, columns=(ID, replace(EMAIL, number=9, mask="redact")))
    assert remasked(BEFORE, other) == "email is held masked by hash, and declared masked by redact"
    assert remasked(BEFORE, replace(other, columns=(ID, replace(NICK, number=2)))) is None


def test_a_table_hides_by_a_mask_or_by_an_excluded_column() -> None:
    assert hides(BEFORE)
    assert hides(replace(BEFORE, hidden=()))
    assert hides(shape(ID, NICK))
    assert not hides(replace(BEFORE, columns=(ID, NICK), hidden=()))


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (shape(ID, EMAIL, NICK, Column("w", "int4", nullable=True, number=5)), "the publication names those that are not"),
        (shape(ID, EMAIL), "the publication names those that are not"),
        (replace(BEFORE, hidden=()), "other columns of it are excluded"),
    ],
)  # fmt: skip
def test_where_columns_are_excluded_one_that_comes_or_goes_takes_a_new_copy(now: Shape, says: str) -> None:
    assert says in (reason_to_copy_anew(BEFORE, now) or "")


def test_what_is_hidden_is_kept_in_the_state() -> None:
    assert Shape.from_dict(BEFORE.to_dict()).hidden == (4,)
