"""Finding refused rows: none too many, none too few, whether or not the target says which row it was."""

import gc
import weakref
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdc.sinks.clickhouse.salvage import salvage
from cdc.sinks.clickhouse.writer import RefusedRows


class Target:
    """Takes rows but the bad ones; says which row it refuses, does not say it, or names a wrong one."""

    def __init__(self, bad: set[int], hint: str) -> None:
        self.bad, self.hint = bad, hint
        self.taken: list[int] = []

    def insert(self, rows: Sequence[int]) -> None:
        refused = [place for place, row in enumerate(rows) if row in self.bad]
        if refused:
            place = {"right": refused[0] + 1, "wrong": 1 + (refused[0] + 1) % len(rows)}.get(self.hint)
            raise RefusedRows("t", "does not fit" + ("" if place is None else f" (at row {place})"), 27)
        self.taken += rows


@given(
    st.integers(0, 1300),
    st.sets(st.integers(0, 1300), max_size=40),
    st.sampled_from(["right", "wrong", "none"]),
    st.integers(1, 3),
)
def test_all_but_the_refused_rows_are_taken_once(count: int, bad: set[int], hint: str, at_once: int) -> None:
    target, refused = Target(bad, hint), list[int]()
    salvage(range(count), target.insert, lambda row, _: refused.append(row), at_once=at_once)
    assert sorted(target.taken) == [row for row in range(count) if row not in bad]
    assert sorted(refused) == sorted(row for row in bad if row < count)


class Body:
    """A row that can be watched."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Without the collector of cycles, which a sink under load runs rarely."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("at_once", [1, 3])
def test_what_was_refused_holds_no_rows_in_memory(no_collector: None, at_once: int) -> None:
    rows = [Body() for _ in range(1200)]
    watched = weakref.WeakSet(rows)
    reasons: list[RefusedRows] = []

    def insert(some: Sequence[Body]) -> None:
        if any(row is bad for row in some for bad in rows[::100]):
            raise RefusedRows("t", "does not fit", 27) from ValueError("as the driver says it")

    salvage(rows, insert, lambda _, reason: reasons.append(reason), at_once=at_once)
    assert len(reasons) == 12
    rows.clear()
    assert len(watched) == 0
