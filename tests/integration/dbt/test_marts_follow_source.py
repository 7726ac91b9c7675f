"""Incremental marts against hostile changes of their source, on a real ClickHouse: each run equals a rebuild."""

import random
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tests.integration.dbt.shop import identifier
from tests.integration.dbt.warehouse import DbtFailed, Warehouse

JANUARY, FEBRUARY, MARCH, APRIL = (datetime(2026, month, 15, 12, tzinfo=UTC) for month in (1, 2, 3, 4))
ZERO = Decimal(0)
OVERLAP = 16


@pytest.fixture(scope="module", autouse=True)
def loaded(warehouse: Warehouse) -> None:
    """Orders 0-29 in January, 30-59 in February, 60-69 in March; then the first build."""
    for number in range(70):
        warehouse.shop.order(number, (JANUARY, FEBRUARY, MARCH)[number // 30])
    warehouse.shop.flush()
    warehouse.facts()
    warehouse.assert_follows_source()
    assert warehouse.value("select count() from {db}.fct_orders") == 70


def column_of(warehouse: Warehouse, number: int, column: str) -> list[object]:
    order = identifier("order", number)
    return [row[0] for row in warehouse.rows(f"select {column} from {{db}}.fct_orders where order_id = '{order}'")]


def month_of(warehouse: Warehouse, number: int) -> list[object]:
    return column_of(warehouse, number, "toYYYYMM(placed_at)")


def loaded_at(warehouse: Warehouse, month: int) -> list[object]:
    query = f"select distinct _loaded_at from {{db}}.fct_orders where toYYYYMM(placed_at) = {month}"
    return [row[0] for row in warehouse.rows(query)]


def leave_the_overlap(warehouse: Warehouse) -> None:
    """So many empty batches that earlier changes are not read again."""
    for _ in range(OVERLAP):
        warehouse.shop.flush()
    warehouse.facts()


def test_an_update_rewrites_only_its_month(warehouse: Warehouse) -> None:
    leave_the_overlap(warehouse)
    february = loaded_at(warehouse, 202602)
    warehouse.shop.order(1, JANUARY, "CANCELLED")
    warehouse.shop.flush()
    warehouse.facts()
    warehouse.assert_follows_source()
    assert loaded_at(warehouse, 202602) == february
    assert loaded_at(warehouse, 202601) != february


def test_an_order_that_moves_to_another_month_leaves_the_old_one_with_its_lines(warehouse: Warehouse) -> None:
    warehouse.shop.order_row(2, MARCH, "CONFIRMED", subtotal=Decimal(9), tax=ZERO, shipping=ZERO, discount=ZERO)
    warehouse.shop.flush()
    warehouse.facts()
    warehouse.assert_follows_source()
    assert month_of(warehouse, 2) == [202603]


def test_a_month_whose_orders_are_all_deleted_disappears(warehouse: Warehouse) -> None:
    for number in range(30, 60):
        warehouse.shop.delete_order(number)
    warehouse.shop.flush()
    warehouse.facts()
    warehouse.assert_follows_source()
    assert warehouse.value("select count() from {db}.fct_orders where toYYYYMM(placed_at) = 202602") == 0
    assert warehouse.value("select count() from {db}.fct_order_items where toYYYYMM(placed_at) = 202602") == 0


def test_the_last_order_of_a_month_moves_away_and_the_month_disappears(warehouse: Warehouse) -> None:
    warehouse.shop.order(100, APRIL)
    warehouse.shop.flush()
    warehouse.facts()
    warehouse.shop.order(100, JANUARY)
    warehouse.shop.flush()
    warehouse.facts()
    warehouse.assert_follows_source()
    assert month_of(warehouse, 100) == [202601]
    assert loaded_at(warehouse, 202604) == []


def test_a_deleted_order_comes_back_in_another_month(warehouse: Warehouse) -> None:
    warehouse.shop.order(31, APRIL)
    warehouse.shop.flush()
    warehouse.facts()
    warehouse.assert_follows_source()
    assert month_of(warehouse, 31) == [202604]


def test_an_older_version_in_a_later_batch_changes_nothing(warehouse: Warehouse) -> None:
    before = warehouse.checksum(f"{warehouse.database}.fct_orders")
    warehouse.shop.order_row(3, APRIL, "PENDING", subtotal=ZERO, tax=ZERO, shipping=ZERO, discount=ZERO, version=1)
    warehouse.shop.flush()
    warehouse.facts()
    warehouse.assert_follows_source()
    assert warehouse.checksum(f"{warehouse.database}.fct_orders") == before


def test_a_batch_that_was_not_complete_is_read_by_a_later_run(warehouse: Warehouse) -> None:
    warehouse.shop.order(4, FEBRUARY)
    open_batch = warehouse.shop.flush(complete=False)
    warehouse.shop.declare_readable(open_batch)
    warehouse.facts()
    assert warehouse.value("select argMax(batch, at) from {db}.mart_watermarks where mart = 'fct_orders'") == open_batch
    warehouse.shop.declare_readable(open_batch + 1)
    warehouse.facts()
    warehouse.assert_follows_source()
    assert month_of(warehouse, 4) == [202602]


def test_a_refund_reaches_an_order_of_an_earlier_month(warehouse: Warehouse) -> None:
    warehouse.shop.payment(5, Decimal("77.00"), refunded=Decimal("7.00"))
    warehouse.shop.flush()
    warehouse.facts()
    warehouse.assert_follows_source()
    assert column_of(warehouse, 5, "refunds") == [Decimal("7.00")]


def test_a_deleted_payment_leaves_its_order(warehouse: Warehouse) -> None:
    warehouse.shop.delete_payment(6)
    warehouse.shop.flush()
    warehouse.facts()
    warehouse.assert_follows_source()
    assert column_of(warehouse, 6, "payment_id") == [None]


def test_a_payment_that_moves_to_another_order_leaves_the_first(warehouse: Warehouse) -> None:
    warehouse.shop.delete_payment(61)
    warehouse.shop.payment(7, Decimal("12.00"), order=61)
    warehouse.shop.flush()
    warehouse.facts()
    warehouse.assert_follows_source()


def test_lines_come_and_go_and_arrive_before_their_order(warehouse: Warehouse) -> None:
    warehouse.shop.delete_line(8, 1)
    warehouse.shop.order(200, FEBRUARY, lines=3)
    late = warehouse.shop.pending.pop("orders.orders")
    warehouse.shop.flush()
    warehouse.facts()
    warehouse.assert_follows_source()
    assert month_of(warehouse, 200) == []
    warehouse.shop.pending["orders.orders"] = late
    warehouse.shop.flush()
    warehouse.facts()
    warehouse.assert_follows_source()
    assert month_of(warehouse, 200) == [202602]


def test_a_run_that_died_before_its_watermark_is_repeated(warehouse: Warehouse) -> None:
    warehouse.shop.delete_order(9)
    warehouse.shop.order(10, MARCH)
    warehouse.shop.flush()
    processed = warehouse.value("select argMax(batch, at) from {db}.mart_watermarks where mart = 'fct_orders'")
    warehouse.facts()
    watermarks = f"{warehouse.database}.mart_watermarks"
    warehouse.client.insert(watermarks, [["fct_orders", processed]], column_names=["mart", "batch"])
    warehouse.facts()
    warehouse.assert_follows_source()


def test_what_a_killed_build_left_behind_is_dropped_once_it_is_old(warehouse: Warehouse) -> None:
    orphan = "fct_orders__dbt_new_data_0"
    find = f"select count() from system.tables where database = '{{db}}' and name = '{orphan}'"
    warehouse.client.command(f"create table {warehouse.database}.{orphan} as {warehouse.database}.fct_orders")
    warehouse.facts()
    assert warehouse.value(find) == 1
    warehouse.facts("--vars", "{orphan_minutes: 0}")
    assert warehouse.value(find) == 0


def test_running_twice_gives_the_same_as_once_and_rewrites_nothing_beyond_the_overlap(warehouse: Warehouse) -> None:
    leave_the_overlap(warehouse)
    before = [warehouse.checksum(f"{warehouse.database}.{mart}") for mart in ("fct_orders", "fct_order_items")]
    written = warehouse.rows("select distinct _loaded_at from {db}.fct_orders order by 1")
    warehouse.facts()
    assert [warehouse.checksum(f"{warehouse.database}.{mart}") for mart in ("fct_orders", "fct_order_items")] == before
    assert warehouse.rows("select distinct _loaded_at from {db}.fct_orders order by 1") == written


@pytest.mark.parametrize("seed", range(6))
def test_any_changes_in_any_order(warehouse: Warehouse, seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(dice.randint(1, 3)):
        for _ in range(dice.randint(1, 40)):
            warehouse.shop.change_at_random(dice, orders=120)
        warehouse.shop.flush()
    warehouse.facts()
    warehouse.assert_follows_source()


def test_incremental_equals_full_refresh(warehouse: Warehouse) -> None:
    marts = [f"{warehouse.database}.{mart}" for mart in ("fct_orders", "fct_order_items")]
    incremental = [warehouse.checksum(mart) for mart in marts]
    warehouse.facts("--full-refresh")
    assert [warehouse.checksum(mart) for mart in marts] == incremental


def test_batch_numbers_that_step_back_are_refused(warehouse: Warehouse) -> None:
    batch = warehouse.shop.batch
    warehouse.shop.declare_readable(1)
    with pytest.raises(DbtFailed, match="fct_orders"):
        warehouse.facts()
    warehouse.shop.declare_readable(batch + 1)
    warehouse.facts()
    warehouse.assert_follows_source()


def test_a_shop_that_loses_every_order_leaves_empty_marts(warehouse: Warehouse) -> None:
    for number in range(210):
        warehouse.shop.delete_order(number, lines=3)
    warehouse.shop.flush()
    warehouse.facts()
    warehouse.assert_follows_source()
    assert warehouse.value("select count() from {db}.fct_orders") == 0
    warehouse.shop.order(1, JANUARY)
    warehouse.shop.flush()
    warehouse.facts()
    warehouse.assert_follows_source()
    assert month_of(warehouse, 1) == [202601]
