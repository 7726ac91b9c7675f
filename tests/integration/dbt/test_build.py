"""The whole project on a real ClickHouse: built twice over hostile rows, every test of it green, and able to go red."""

import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from lineage.compiled import project
from metrics.compiler import Filter, Grain, Question, render
from metrics.contracts import contracts
from metrics.definitions import load
from metrics.metric import Metric
from stack.settings import PORT_SPAN
from tests.conftest import Stack
from tests.integration.dbt.guide import Question as Asked
from tests.integration.dbt.guide import answered, connected, questions, same
from tests.integration.dbt.metric_answers import ANSWERS
from tests.integration.dbt.shop import EPOCH, Shop, identifier
from tests.integration.dbt.visits import searches_in_vain, visits
from tests.integration.dbt.warehouse import DbtFailed, Warehouse
from tests.integration.stack.own_clickhouse import own_clickhouse

METRICS = load(contracts())


@pytest.fixture(scope="module", autouse=True)
def loaded(warehouse: Warehouse) -> None:
    """Orders of half a year, some deleted, cancelled and moved; built once from nothing and once on top of that."""
    dice = random.Random(7)
    for number in range(200):
        status = ("CONFIRMED", "CONFIRMED", "CANCELLED", "FAILED", "PENDING")[number % 5]
        warehouse.shop.order(number, EPOCH + timedelta(days=dice.randrange(180)), status)
        warehouse.shop.movement(number, "received", 5, EPOCH + timedelta(days=number % 90))
    warehouse.shop.accounts()
    warehouse.shop.proof("orders.orders", differing=0)
    warehouse.shop.proof("orders.orders", differing=1)
    warehouse.shop.category("Camping")
    for number in range(100, 103):
        warehouse.shop.product(number, f"Tent {number}")
        warehouse.shop.price(number, "100.00")
    events = f"{warehouse.shop.prefix}clickstream.events"
    visits(warehouse.client, events, orders=range(0, 200, 5))
    searches_in_vain(warehouse.client, events, "wool socks", times=3)
    warehouse.shop.flush()
    warehouse.run("build", "--exclude-resource-type", "unit_test")
    for number in range(0, 200, 9):
        warehouse.shop.order(number, EPOCH + timedelta(days=dice.randrange(180)), "CONFIRMED")
    for number in range(4, 200, 10):
        warehouse.shop.delete_order(number)
    warehouse.shop.product(100, "Tent, renamed")
    warehouse.shop.price(100, "90.00")
    warehouse.shop.price(101, "80.00")
    warehouse.shop.price(101, "85.00")
    warehouse.shop.price(102, "95.00", deleted=True)
    warehouse.shop.line_at_price(910, product=101, unit_price="85.00")
    warehouse.shop.flush()
    warehouse.run("build", "--exclude-resource-type", "unit_test")


def test_every_mart_has_rows_and_follows_its_source(warehouse: Warehouse) -> None:
    warehouse.assert_follows_source()
    marts = {name for (name,) in warehouse.rows("select name from system.tables where database = '{db}'")}
    empty = {mart for mart in marts if not warehouse.value(f"select count() from {{db}}.{mart}")}
    assert empty == set()
    assert len(marts) == 33, marts
    assert warehouse.value("select count() from {db}.dim_products where is_deleted and units_sold > 0") == 7


@pytest.fixture(scope="module")
def analyst(warehouse: Warehouse, stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of an analyst whose ClickHouse holds the marts as they were built, under the stack's own rules."""
    port_base = stack.settings.port_base + PORT_SPAN
    with own_clickhouse(tmp_path_factory.mktemp("analyst") / "home", port_base) as own:
        with own.client("dbt") as target:
            for name, statement in warehouse.rows(
                "select name, create_table_query from system.tables where database = '{db}' order by name"
            ):
                target.command(statement.replace(f"{warehouse.database}.", "analytics.", 1))
                rows = warehouse.client.raw_query(f"select * from {warehouse.database}.{name}", fmt="Native")
                target.raw_insert(f"analytics.{name}", insert_block=rows, fmt="Native")
        yield own.variables


@pytest.mark.parametrize("question", questions(), ids=lambda question: question.mart)
def test_an_example_for_analysts_runs_and_pandas_agrees(
    analyst: dict[str, str], question: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CLICKHOUSE_URL", "CLICKHOUSE_ANALYST_PASSWORD"):
        monkeypatch.setenv(name, analyst[name])
    with connected() as client:
        told = client.query_df(question.sql)
        assert len(told) > 0, "an example without an answer shows nothing"
        same(told, answered(question, client))


def test_revenue_is_the_orders_money_to_the_cent(warehouse: Warehouse) -> None:
    sold = warehouse.value(
        "select sum(total) from {db}_staging.stg_orders__orders where status in ('CONFIRMED', 'CANCELLED')"
    )
    assert warehouse.value("select sum(gross_revenue) from {db}.rpt_revenue_daily") == sold
    refunded = warehouse.value("select sum(refunds) from {db}.rpt_revenue_daily")
    assert warehouse.value("select sum(net_revenue) from {db}.rpt_revenue_daily") == sold - refunded


def test_every_payment_is_in_the_settlement_once_and_the_books_agree(warehouse: Warehouse) -> None:
    rows = warehouse.rows(
        "select finding, sum(payments), sum(captured) from {db}.rpt_settlement_reconciliation group by finding"
    )
    found = {finding: (payments, captured) for finding, payments, captured in rows}
    # payments of deleted orders, and of cancelled ones that were confirmed again while the ledger kept their refund
    assert {finding: payments for finding, (payments, _) in found.items() if finding != "matched"} == {
        "order unknown": 2,
        "refund differs from ledger": 4,
    }
    captured = warehouse.value("select sum(captured) from {db}.fct_payments")
    assert sum(amount for _, amount in found.values()) == captured


def test_visits_that_named_a_sale_are_converted(warehouse: Warehouse) -> None:
    ((visits_, converted, revenue),) = warehouse.rows(
        "select count(), countIf(is_converted), sum(gross_revenue) from {db}.fct_sessions"
    )
    assert (visits_, converted) == (80, 40)
    named = "select sum(total) from {db}_staging.stg_orders__orders where currency = 'EUR' and order_id in ("
    named += "select order_id from {db}_staging.stg_clickstream__events where type = 'order_placed')"
    assert revenue == warehouse.value(named)
    assert warehouse.rows("select step, sum(sessions) from {db}.fct_funnel_daily group by step order by any(step_number)") == [
        ("visit", 80), ("product_view", 80), ("cart_add", 80), ("order_placed", 40)
    ]  # fmt: skip


def test_histories_tell_what_was_when(warehouse: Warehouse) -> None:
    prices = "select product_id, price, is_current from {db}.dim_prices_history order by product_id, valid_from"
    numbers = {identifier("product", number): number for number in (100, 101, 102)}
    told: dict[int, list[tuple[str, bool]]] = {}
    for product, price, current in warehouse.rows(prices):
        told.setdefault(numbers[product], []).append((str(price), current))
    assert told == {
        100: [("100.00", False), ("90.00", True)],
        101: [("100.00", False), ("80.00", False), ("85.00", True)],
        102: [("100.00", False)],
    }
    names = "select product_name, is_current from {db}.dim_products_history where sku = 'SKU-100' order by valid_from"
    assert warehouse.rows(names) == [("Tent 100", False), ("Tent, renamed", True)]
    steps = "select groupArray(status) from (select * from {db}.fct_order_status_changes order by change_number) where order_id = "
    assert warehouse.value(f"{steps}'{identifier('order', 18)}'") == ["FAILED", "CONFIRMED"]
    assert warehouse.value(
        "select countIf(is_current) = uniqExactIf(order_id, is_current) from {db}.fct_order_status_changes"
    )


def test_checks_are_seen_afterwards(warehouse: Warehouse) -> None:
    """Of the two builds only the first: the one that builds a mart cannot tell of itself."""
    kinds = "select kind, count(), countIf(is_passed) from {db}.ops_quality group by kind order by kind"
    proofs, tests = warehouse.rows(kinds)
    assert tuple(proofs) == ("proof", 2, 1)
    kept = "select run, count() as tests, countIf(status = 'pass') from {db}.mart_test_results group by run order by min(at) limit 1"
    assert tuple(tests[1:]) == tuple(warehouse.rows(kept)[0][1:])


def test_searches_have_their_clicks(warehouse: Warehouse) -> None:
    ((searches, zero, clicks),) = warehouse.rows(
        "select sum(searches), sum(zero_results), sum(searches_with_clicks) from {db}.rpt_search_quality_daily"
    )
    assert (searches, zero, clicks) == (43, 11, 20)
    assert warehouse.value("select countIf(is_added_to_cart) from {db}.fct_search_clicks") == 20


Answer = dict[tuple[Any, ...], Any]


def known_answer(warehouse: Warehouse, metric: Metric) -> Answer:
    """What the metric must be, by its required dimensions; zeros and absent rows are alike."""
    if metric.parts and metric.name not in ANSWERS:
        above, below = (known_answer(warehouse, part) for part in metric.parts)
        return {key: float(above[key]) / float(below[key]) for key in above}
    return {tuple(row[:-1]): row[-1] for row in warehouse.rows(ANSWERS[metric.name]) if row[-1]}


def test_every_metric_equals_an_independent_query(warehouse: Warehouse) -> None:
    different: dict[str, tuple[Answer, Answer]] = {}
    for name, metric in METRICS.by_name.items():
        made = render(METRICS, Question((name,), by=tuple(sorted(metric.requires))), "{db}")
        found = {tuple(row[:-1]): row[-1] for row in warehouse.rows(made.sql) if row[-1]}
        expected = known_answer(warehouse, metric)
        if metric.parts:  # an independent quotient is a float; money is rounded
            found = {key: float(value) for key, value in found.items()}
            same = found == pytest.approx(expected, abs=0.0101 if metric.unit == "money" else 1e-9)
        else:
            same = found == expected
        if not same:
            different[name] = (found, expected)
    assert different == {}


@pytest.mark.parametrize("grain", [None, "day", "week", "month", "quarter", "year"])
def test_metrics_add_up_at_every_grain_and_take_every_filter(warehouse: Warehouse, grain: Grain | None) -> None:
    for mart in {metric.mart: metric for metric in METRICS.by_name.values()}.values():
        if grain and not mart.time:
            continue
        names = tuple(one.name for one in METRICS.by_name.values() if one.mart == mart.mart)
        row = warehouse.rows(f"select {', '.join(mart.dimensions) or '1'} from {{db}}.{mart.mart} limit 1")[0]
        held = [
            Filter(name, "=", value) for name, value in zip(mart.dimensions, row, strict=False) if value is not None
        ]
        held += [Filter(one.dimension, "in", [one.value]) for one in held]
        asked = Question(names, mart.dimensions, grain, tuple(held), bool(grain), date(2026, 1, 1), date(2099, 12, 31))
        made = render(METRICS, asked, warehouse.database)
        rows = warehouse.client.query(made.sql, parameters=made.parameters)
        assert tuple(rows.column_names) == made.columns and rows.result_rows, made.sql
    sums = render(METRICS, Question(("orders",), grain=grain), warehouse.database)
    whole = warehouse.value(ANSWERS["orders"])
    assert sum(row[-1] for row in warehouse.client.query(sums.sql).result_rows) == whole


def test_compiled_models_are_what_dbt_runs(warehouse: Warehouse) -> None:
    """What lineage reads is the SQL of the views as they are in the warehouse."""
    for model in project().models:
        if model.layer == "intermediate":
            made = warehouse.value(
                f"select as_select from system.tables where database = '{{db}}_intermediate' and name = '{model.name}'"
            )
            read = model.sql.replace("`staging`", f"`{warehouse.database}_staging`").replace(
                "`intermediate`", f"`{warehouse.database}_intermediate`"
            )
            formatted = warehouse.client.query(
                "select formatQuerySingleLine({sql:String})", parameters={"sql": read}
            ).result_rows[0][0]
            assert formatted.replace("`", "") == made.replace("`", ""), model.name


def test_a_missed_join_is_null_whatever_the_readers_settings(warehouse: Warehouse) -> None:
    query = "select count() from {db}_intermediate.int_orders where status = 'PENDING' and payment_id is not null"
    assert warehouse.value(query + " settings join_use_nulls = 0") == 0


def test_unit_tests_of_models_pass(warehouse: Warehouse) -> None:
    assert len(warehouse.run("test", "--select", "test_type:unit")) >= 10


def test_sources_are_fresh(warehouse: Warehouse) -> None:
    filled = ("source:raw_orders", "source:raw_payments.payments", "source:raw_payments.refunds")
    statuses = warehouse.run("source", "freshness", "--select", *filled)
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


def test_what_is_wrong_with_a_history_is_found(warehouse: Warehouse) -> None:
    """A price that never was, one that was paid rewritten, two periods that overlap, a gap, a step of an order that is missing."""
    changes = {
        "dim_prices_history": [
            "update price = 81, valid_to = valid_to + interval 1 microsecond where price = 80",
            "update price = 84.99 where price = 85",
        ],
        "dim_products_history": ["update valid_to = valid_to - interval 1 microsecond where not is_current"],
        "fct_order_status_changes": [f"delete where order_id = '{identifier('order', 18)}' and is_current"],
    }
    for mart, mutations in changes.items():
        for mutation in mutations:
            warehouse.client.command(f"alter table {warehouse.database}.{mart} {mutation} settings mutations_sync = 1")
    findings = [
        "assert_prices_history_equals_price_changes",
        "dim_prices_history_has_no_gap_and_no_overlap",
        "dim_products_history_has_no_gap_and_no_overlap",
        "assert_order_lines_have_the_price_of_their_time",
        "assert_prices_history_ends_as_prices",
        "assert_status_changes_end_as_orders",
    ]
    with pytest.raises(DbtFailed) as failure:
        warehouse.run("test", "--select", *findings, "--vars", "{settle_seconds: 0}")
    assert [finding for finding in findings if f"'{finding}': 'fail'" not in str(failure.value)] == []
