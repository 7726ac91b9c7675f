"""The chaos command's own run: mixed load, random faults and failpoints, judged by sorted dumps of both sides."""

import pytest

from bench.chaos.run import run
from tests.conftest import Stack


@pytest.mark.timeout(1200)  # ten minutes of faults, then all that was put off
@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize(
    ("minutes", "seed"),
    [
        (1, 3),
        pytest.param(10, 1, marks=pytest.mark.long),
        pytest.param(10, 2, marks=pytest.mark.long),
        pytest.param(10, 3, marks=pytest.mark.long),
        pytest.param(10, 4, marks=pytest.mark.long),
    ],
)
def test_copies_are_equal_after_every_process_was_broken_under_load(stack: Stack, minutes: float, seed: int) -> None:
    outcome = run(stack.settings, stack.env["POSTGRES_ADMIN_DSN"], minutes, seed, print)
    assert outcome.equal, [each for each in (*outcome.tables, *outcome.documents) if not each.equal]
    assert not outcome.short_of
    assert outcome.failpoints, "no process ended itself at a failpoint"
