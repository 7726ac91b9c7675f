"""Finding refused rows: none too many, none too few, whether or not the target says which row it was."""

from collections.abc import Sequence

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


@given(st.integers(0, 1300), st.sets(st.integers(0, 1300), max_size=40), st.sampled_from(["right", "wrong", "none"]))
def test_all_but_the_refused_rows_are_taken_once(count: int, bad: set[int], hint: str) -> None:
    target, refused = Target(bad, hint), list[int]()
    salvage(range(count), target.insert, lambda row, _: refused.append(row))
    assert sorted(target.taken) == [row for row in range(count) if row not in bad]
    assert sorted(refused) == sorted(row for row in bad if row < count)
