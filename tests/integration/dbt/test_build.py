"""The whole project on a real ClickHouse: built twice over hostile rows, every test of it green, and able to go red."""

import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.integration.dbt.shop import EPOCH, Shop
from tests.integration.dbt.warehouse import DbtFailed, Warehouse

MARTS = ("fct_orders", "fct_order_items", "dim_customers", "dim_products", "rpt_revenue_daily")


@pytest.fixture(scope="module", autouse=True)
def loaded(warehouse: Warehouse) -> None:
    """Orders of half a year, some deleted, cancelled and moved; built once from nothing and once on top of that."""
    dice = random.Random(7)
    for number in range(200):
        status = ("CONFIRMED", "CONFIRMED", "CANCELLED", "FAILED", "PENDING")[number % 5]
        warehouse.shop.order(number, EPOCH + timedelta(days=dice.randrange(180)), status)
    warehouse.shop.flush()
    warehouse.run("build", "--exclude-resource-type", "unit_test")
    for number in range(0, 200, 9):
        warehouse.shop.order(number, EPOCH + timedelta(days=dice.randrange(180)), "CONFIRMED")
    for number in range(4, 200, 10):
        warehouse.shop.delete_order(number)
    warehouse.shop.flush()
    warehouse.run("build", "--exclude-resource-type", "unit_test")


def test_every_mart_has_rows_and_follows_its_source(warehouse: Warehouse) -> None:
    warehouse.assert_follows_source()
    empty = [
        mart for mart in MARTS if not warehouse.value(f"select count() from {{db}}.{mart}") and mart != "dim_products"
    ]
    assert empty == []
    assert warehouse.value("select count() from {db}.dim_products where is_deleted and units_sold > 0") == 7


def test_revenue_is_the_orders_money_to_the_cent(warehouse: Warehouse) -> None:
    sold = warehouse.value(
        "select sum(total) from {db}_staging.stg_orders__orders where status in ('CONFIRMED', 'CANCELLED')"
    )
    assert warehouse.value("select sum(gross_revenue) from {db}.rpt_revenue_daily") == sold
    refunded = warehouse.value("select sum(refunds) from {db}.rpt_revenue_daily")
    assert warehouse.value("select sum(net_revenue) from {db}.rpt_revenue_daily") == sold - refunded


def test_a_missed_join_is_null_whatever_the_readers_settings(warehouse: Warehouse) -> None:
    query = "select count() from {db}_intermediate.int_orders where status = 'PENDING' and payment_id is not null"
    assert warehouse.value(query + " settings join_use_nulls = 0") == 0


def test_unit_tests_of_models_pass(warehouse: Warehouse) -> None:
    assert len(warehouse.run("test", "--select", "test_type:unit")) >= 3


def test_sources_are_fresh(warehouse: Warehouse) -> None:
    statuses = warehouse.run("source", "freshness", "--select", "source:raw_orders", "source:raw_payments")
    assert set(statuses.values()) == {"pass", "success"}


def test_what_changed_since_the_last_run_is_no_difference_yet(warehouse: Warehouse) -> None:
    shop = warehouse.shop
    shop.payment(4, Decimal("5.00"))
    shop.delete_payment(1)
    shop.order(2, EPOCH, "CONFIRMED")
    shop.order(300, EPOCH)
    shop.delete_order(6)
    shop.flush()
    warehouse.run("test", "--select", "assert_fct_orders_equals_staging", "assert_fct_order_items_equals_staging")


def lose_a_month(warehouse: Warehouse) -> None:
    warehouse.client.command(f"alter table {warehouse.database}.fct_orders drop partition 202602")


def double_a_month(warehouse: Warehouse) -> None:
    table = f"{warehouse.database}.fct_order_items"
    warehouse.client.command(f"insert into {table} select * from {table} where toYYYYMM(placed_at) = 202603")


def change_an_amount(warehouse: Warehouse) -> None:
    table = f"{warehouse.database}.rpt_revenue_daily"
    warehouse.client.command(
        f"alter table {table} update gross_revenue = gross_revenue + 0.01, net_revenue = net_revenue + 0.01"
        " where orders > 0 settings mutations_sync = 1"
    )


def break_an_order(warehouse: Warehouse) -> None:
    shop: Shop = warehouse.shop
    zero = Decimal(0)
    shop.order_row(900, EPOCH, "CONFIRMED", subtotal=Decimal(1), tax=zero, shipping=zero, discount=zero)
    shop.pending["orders.orders"][0]["total"] = Decimal(2)
    shop.flush()


@pytest.mark.parametrize(
    ("fault", "finding"),
    [
        (lose_a_month, "assert_fct_orders_equals_staging"),
        (double_a_month, "assert_fct_order_items_equals_staging"),
        (change_an_amount, "assert_revenue_equals_orders"),
        (break_an_order, "orders_add_up"),
    ],
)
def test_a_fault_is_found_by_its_test(warehouse: Warehouse, fault: Callable[[Warehouse], None], finding: str) -> None:
    fault(warehouse)
    with pytest.raises(DbtFailed, match=finding):
        warehouse.run("test", "--select", finding)
