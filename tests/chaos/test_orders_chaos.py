"""The orders' chaos command's own run: customers, kills in the middle of sagas, and books that add up afterwards."""

from collections.abc import Sequence

import pytest

from bench.chaos.orders_plan import KILLED
from bench.chaos.orders_run import run
from tests.conftest import Stack


@pytest.mark.long
@pytest.mark.timeout(900)  # a dozen processes killed and waited for, then what reconciliation does once a minute
@pytest.mark.parametrize(
    ("orders", "seed", "processes"), [(100, 1, ("orders", "postgres")), (500, 1, KILLED), (500, 2, KILLED)]
)
def test_money_goods_and_orders_add_up_after_processes_were_killed(
    stack: Stack, orders: int, seed: int, processes: Sequence[str]
) -> None:
    outcome = run(stack.settings, stack.env, orders, seed, print, processes=processes, only_own=True)
    assert outcome.sound, outcome.document()
