"""The read endpoints, over marts with the columns that dbt promises and rows that a person can add up."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from services.analytics.clickhouse import Warehouse, connect
from tests.conftest import Stack
from tests.integration.analytics.serving import DATABASE, make, served, trial_marts

BUILT = datetime(2026, 3, 20, 6, tzinfo=UTC)
ADA, BEN, CLEO = (str(UUID(int=number)) for number in (1, 2, 3))
KNIFE, POT = str(UUID(int=11)), str(UUID(int=12))


def fill(client: Client, mart: str, *rows: dict[str, Any]) -> None:
    for row in rows:
        full = {"_loaded_at": BUILT, **row}
        client.insert(f"{DATABASE}.{mart}", [list(full.values())], column_names=list(full))


def day(of: str, orders: int, gross: str, refunds: str = "0.00", currency: str = "EUR") -> dict[str, Any]:
    from decimal import Decimal

    return {
        "day": datetime.fromisoformat(of).date(), "currency": currency, "orders": orders, "units": orders,
        "gross_revenue": Decimal(gross), "refunds": Decimal(refunds), "net_revenue": Decimal(gross) - Decimal(refunds),
    }  # fmt: skip


def sale(
    customer: str, placed: str, product: str, quantity: int, price: str, *, is_sale: bool = True
) -> list[dict[str, Any]]:
    """A row of orders and its one line."""
    from decimal import Decimal

    order = {
        "order_id": uuid4(),
        "customer_id": UUID(customer),
        "placed_at": datetime.fromisoformat(placed).replace(tzinfo=UTC),
    }
    return [
        order | {"is_sale": is_sale, "currency": "EUR"},
        order
        | {
            "product_id": UUID(product),
            "quantity": quantity,
            "line_total": quantity * Decimal(price),
            "currency": "EUR",
        },
    ]


@pytest.fixture(scope="module")
def marts(stack: Stack) -> Iterator[Client]:
    with trial_marts(stack.env) as client:
        yield client


@pytest.fixture(scope="module")
def api(stack: Stack, marts: Client) -> Iterator[httpx.Client]:
    fill(
        marts,
        "rpt_revenue_daily",
        day("2026-03-02", 1, "10.00"),
        day("2026-03-04", 2, "25.01", "5.01"),
        day("2026-03-04", 7, "70.00", currency="USD"),
        day("2026-04-01", 1, "1.00"),
    )
    fill(
        marts,
        "dim_products",
        {"product_id": UUID(KNIFE), "sku": "K", "product_name": "Knife"},
        {"product_id": UUID(POT), "sku": "P", "product_name": "Pot"},
    )
    for order, line in (
        sale(ADA, "2026-01-05", KNIFE, 1, "10.00"),
        sale(BEN, "2026-01-30", KNIFE, 2, "10.00"),
        sale(ADA, "2026-03-01", POT, 1, "99.99"),
        sale(CLEO, "2026-02-01", KNIFE, 1, "10.00"),
        sale(CLEO, "2026-02-02", KNIFE, 900, "10.00", is_sale=False),
    ):
        fill(marts, "fct_orders", order)
        fill(marts, "fct_order_items", line)
    warehouse = Warehouse(stack.env["CLICKHOUSE_URL"], "dbt", stack.env["CLICKHOUSE_DBT_PASSWORD"], DATABASE)
    with served(stack.env, warehouse) as client:
        yield client


def ask(api: httpx.Client, path: str, status: int = 200) -> Any:
    answer = api.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_revenue_has_no_gap_and_only_one_currency(api: httpx.Client) -> None:
    told = ask(api, "/revenue?from=2026-03-02&to=2026-03-05")
    assert datetime.fromisoformat(told["as_of"]) == BUILT
    assert [(p["first"], p["orders"], p["gross_revenue"], p["net_revenue"]) for p in told["points"]] == [
        ("2026-03-02", 1, "10.00", "10.00"),
        ("2026-03-03", 0, "0.00", "0.00"),
        ("2026-03-04", 2, "25.01", "20.00"),
        ("2026-03-05", 0, "0.00", "0.00"),
    ]
    assert [p["average_order_value"] for p in told["points"]] == ["10.00", None, "12.51", None]


def test_revenue_by_month_is_the_sum_of_its_days(api: httpx.Client) -> None:
    march, april = ask(api, "/revenue?from=2026-03-01&to=2026-04-15&granularity=month")["points"]
    assert (march["orders"], march["gross_revenue"], march["refunds"], march["average_order_value"]) == (
        3,
        "35.01",
        "5.01",
        "11.67",
    )
    assert (march["whole"], april["whole"], april["gross_revenue"]) == (True, False, "1.00")


def test_top_products_count_sales_alone(api: httpx.Client) -> None:
    units = ask(api, "/products/top?from=2026-01-01&to=2026-03-31")["items"]
    assert [(item["sku"], item["units"], item["orders"], item["amount"]) for item in units] == [
        ("K", 4, 3, "40.00"),
        ("P", 1, 1, "99.99"),
    ]
    dear = ask(api, "/products/top?from=2026-01-01&to=2026-03-31&by=amount&limit=1")["items"]
    assert [item["name"] for item in dear] == ["Pot"]


def test_a_mart_that_was_not_built_is_said_so_and_then_read(api: httpx.Client, marts: Client) -> None:
    assert ask(api, "/customers", 503)["type"] == "urn:millrace:problem:mart-not-built"
    make(marts, "customers", "dim_customers")
    assert ask(api, "/customers") == {
        "as_of": None, "known": 0, "registered": 0, "deleted": 0, "with_orders": 0, "repeat": 0, "with_marketing_consent": 0,
    }  # fmt: skip
    first = {ADA: "2026-01-05", BEN: "2026-01-30", CLEO: "2026-02-01"}
    for customer, at in first.items():
        bought = {"customer_id": UUID(customer), "first_order_at": datetime.fromisoformat(at).replace(tzinfo=UTC)}
        fill(marts, "dim_customers", bought | {"orders": 2 if customer == ADA else 1, "is_repeat": customer == ADA})
    fill(marts, "dim_customers", {"customer_id": uuid4(), "is_deleted": True, "has_marketing_consent": True})
    told = ask(api, "/customers")
    assert (told["known"], told["deleted"], told["with_orders"], told["repeat"]) == (4, 1, 3, 1)
    january, february = ask(api, "/cohorts?from=2026-01&to=2026-02")["cohorts"]
    assert (january["month"], january["customers"]) == ("2026-01", 2)
    assert [(r["month"], r["customers"], r["share"], r["whole"]) for r in january["retention"]] == [
        (0, 2, 1.0, True), (1, 0, 0.0, True), (2, 1, 0.5, False),
    ]  # fmt: skip
    assert [(r["customers"], r["whole"]) for r in february["retention"]] == [(1, True), (0, False)]


def test_an_answer_is_remembered_until_its_mart_is_built_again(api: httpx.Client, marts: Client) -> None:
    url = "/revenue?from=2026-05-01&to=2026-05-01"
    first = api.get(url)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "private, max-age=5"
    unchanged = api.get(url, headers={"if-none-match": f'"other", W/{tag}'})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tag)
    # the mart changes without being built anew: nobody notices
    fill(marts, "rpt_revenue_daily", day("2026-05-01", 1, "3.00"))
    marts.command(
        f"ALTER TABLE {DATABASE}.rpt_revenue_daily DELETE WHERE day = '2026-05-01' SETTINGS mutations_sync = 1"
    )
    assert api.get(url, headers={"if-none-match": tag}).status_code == 304
    fill(
        marts, "rpt_revenue_daily", day("2026-05-01", 2, "8.00") | {"_loaded_at": datetime(2026, 3, 20, 7, tzinfo=UTC)}
    )
    changed = api.get(url, headers={"if-none-match": tag})
    assert changed.status_code == 200 and changed.headers["etag"] != tag
    assert changed.json()["points"][0]["gross_revenue"] == "8.00"


def test_while_clickhouse_is_away_the_answer_is_to_try_again(stack: Stack) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and never listens
        away = Warehouse(f"http://127.0.0.1:{nobody.getsockname()[1]}", "analytics", "none")
        with served(stack.env, away) as api:
            answer = api.get("/revenue")
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["type"] == "urn:millrace:problem:unavailable"
            assert api.get("/readyz").json()["checks"]["kafka"] == "ok"


@pytest.mark.parametrize(
    "path",
    [
        "/revenue?from=1999-12-31",
        "/revenue?from=yesterday",
        "/revenue?granularity=hour",
        "/revenue?currency=euro",
        "/revenue?colour=red",
        "/products/top?limit=0",
        "/products/top?limit=101",
        "/products/top?by=name",
        "/funnel?within_seconds=0",
        "/funnel?within_seconds=604801",
        "/funnel?from=%00",
        "/cohorts?from=2026-13",
        "/cohorts?from=2026-03-01",
        "/customers?all=1",
    ],
)
def test_what_cannot_be_asked_is_a_problem(api: httpx.Client, path: str) -> None:
    assert ask(api, path, 422)["type"] == "urn:millrace:problem:invalid-request"


@pytest.mark.parametrize(
    "path",
    [
        "/revenue?from=2026-03-02&to=2026-03-01",
        "/revenue?from=2020-01-01&to=2026-03-01",
        "/cohorts?from=2020-01&to=2026-01",
    ],
)
def test_a_range_that_cannot_be_answered_is_a_broken_rule(api: httpx.Client, path: str) -> None:
    assert ask(api, path, 422)["type"] == "urn:millrace:problem:rule-broken"


def test_the_services_own_user_reads_within_limits_and_writes_nothing(stack: Stack, marts: Client) -> None:
    client = connect(stack.env["CLICKHOUSE_URL"], "analytics", stack.env["CLICKHOUSE_ANALYTICS_PASSWORD"])
    refused = {
        "INSERT INTO raw_clickstream.events (session) VALUES ('x')": {"READONLY", "ACCESS_DENIED"},
        f"SELECT * FROM {DATABASE}.dim_products": {"ACCESS_DENIED"},
        "SELECT 1 SETTINGS max_execution_time = 100": {"READONLY"},
        "SELECT count() FROM numbers(60000000) WHERE NOT ignore(number)": {"TOO_MANY_ROWS"},
    }
    for statement, names in refused.items():
        with pytest.raises(DatabaseError) as error:
            client.command(statement)
        assert error.value.name in names, error.value
    client.close()
