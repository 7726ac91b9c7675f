"""The dashboards on a real Superset over a shop with a past: every tile in a browser, who may do what, files and Superset alike.

Superset's packages, tables and dashboards take minutes, so all of it is long.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import clickhouse_connect
import pytest
import yaml
from clickhouse_connect.driver.client import Client

from dashboards.files import ASSETS, read
from stack import bootstrap, launcher
from stack.processes.dashboards import inside
from stack.progress import Lines
from stack.settings import ROOT
from tests.conftest import Stack
from tests.e2e.superset import Superset, entered

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
FILES = read()
MAY_BE_EMPTY = {"Days on which the books differ"}
"""Nothing to show is what it should show."""
MILLRACE = str(Path(sys.executable).with_name("millrace"))


def run(stack: Stack, *command: str, expected: int = 0) -> str:
    done = subprocess.run(command, env=os.environ | stack.env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == expected, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def shop(stack: Stack) -> Stack:
    """The stack with Superset, a past of some months and the marts of it."""
    bootstrap.superset()
    launcher.up(stack.settings, [], Lines(), ["dashboards"])
    with warehouse(stack) as client:
        built = client.query("EXISTS TABLE customer_cohorts").result_rows[0][0]
        months = client.query("SELECT uniqExact(cohort_month) FROM customer_cohorts").result_rows[0][0] if built else 0
    if months < 3:
        run(stack, MILLRACE, "simulate", "--orders", "200000", "--days", "365", "--seed", "1")
        run(stack, MILLRACE, "cdc", "verify")
        run(stack, sys.executable, "-m", "pipelines.run")
    return stack


def warehouse(stack: Stack) -> Client:
    return clickhouse_connect.get_client(
        host="127.0.0.1",
        port=int(stack.env["CLICKHOUSE_URL"].rpartition(":")[2]),
        username="reader",
        password=stack.env["CLICKHOUSE_READER_PASSWORD"],
        database="analytics",
    )


@pytest.fixture
def analyst(shop: Stack) -> Iterator[Superset]:
    with entered(shop.env["SUPERSET_URL"], "analyst", shop.env["SUPERSET_ANALYST_PASSWORD"]) as user:
        yield user


@pytest.fixture
def admin(shop: Stack) -> Iterator[Superset]:
    with entered(shop.env["SUPERSET_URL"], "admin", shop.env["SUPERSET_ADMIN_PASSWORD"]) as user:
        yield user


def test_every_chart_of_every_dashboard_draws_data_without_an_error(shop: Stack, tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    assert chromium, "install it: apt-get install chromium"
    command, environment = inside(shop.env, "dashboards.server.look", str(tmp_path))
    subprocess.run(
        command,
        env=environment | {"CHROMIUM": chromium, "SUPERSET_URL": shop.env["SUPERSET_URL"]},
        cwd=ROOT,
        check=True,
    )
    seen = json.loads((tmp_path / "seen.json").read_text())
    for dashboard in FILES.dashboards:
        shown = seen[dashboard.slug]
        names = sorted(chart.slice_name for page, chart in FILES.tiles() if page.slug == dashboard.slug)
        assert sorted(tile["name"] for tile in shown["tiles"]) == names
        blank = [tile for tile in shown["tiles"] if not tile["drawn"] and tile["name"] not in MAY_BE_EMPTY]
        assert (blank, shown["failed"], shown["outside"]) == ([], [], []), f"{dashboard.slug}: see {tmp_path}"
        assert shown["answers"] >= len(names)
    (revenue,) = [tile["text"] for tile in seen["sales"]["tiles"] if tile["name"] == "Net revenue"]
    with warehouse(shop) as client:
        net = client.query("select sum(net_revenue) from rpt_revenue_daily where currency = 'EUR'").result_rows[0][0]
    assert f"{net:,.2f}" in revenue.split("\n")


def test_a_range_that_begins_within_a_week_counts_its_days_and_weeks_are_summed(shop: Stack, analyst: Superset) -> None:
    """An alias that is named like its column would hold the range against Mondays, or leave days ungrouped."""
    last = datetime.now(UTC).date() - timedelta(days=20)
    first = last - timedelta(days=40 + (last - timedelta(days=40)).weekday() - 2)
    assert first.weekday() == 2
    week = {
        "label": "day",
        "sqlExpression": "day",
        "expressionType": "SQL",
        "columnType": "BASE_AXIS",
        "timeGrain": "P1W",
    }
    rows = analyst.ask(
        "rpt_revenue_daily",
        {
            "columns": [week],
            "metrics": ["orders", "gross_revenue", "average_order_value"],
            "filters": [
                {"col": "day", "op": "TEMPORAL_RANGE", "val": f"{first} : {last}"},
                {"col": "currency", "op": "==", "val": "EUR"},
            ],
            "row_limit": 1000,
        },
    )
    asked = f"""select toMonday(d.day) as week, sum(d.orders), sum(d.gross_revenue) from rpt_revenue_daily as d
                where d.day >= '{first}' and d.day < '{last}' and d.currency = 'EUR' group by week order by week"""
    with warehouse(shop) as client:
        known = {week: (orders, gross) for week, orders, gross in client.query(asked).result_rows}
    assert len(known) > 4 and date.fromisoformat(str(min(known))) < first
    found = {moment(row["day"]): (row["orders"], row["gross_revenue"]) for row in rows}
    assert found.keys() == known.keys()
    for week_of, (orders, gross) in known.items():
        assert found[week_of] == (orders, pytest.approx(float(gross)))


def moment(milliseconds: float) -> date:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).date()


def test_sql_lab_asks_as_the_limited_user(analyst: Superset) -> None:
    answer = analyst.sql("select currentUser() as who, count() as days from rpt_revenue_daily")
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"][0]["who"] == "analyst" and answer.json()["data"][0]["days"] > 0
    for refused in (
        "select * from raw_users.users",
        "select query from fct_searches",
        "select * from system.users",
        "insert into rpt_revenue_daily select * from rpt_revenue_daily",
        "create table mine (a Int8) engine = Memory",
    ):
        answer = analyst.sql(refused)
        assert answer.status_code >= 400, f"{refused}: {answer.text[:300]}"


def test_an_analyst_changes_no_dashboard_and_manages_nobody(analyst: Superset, admin: Superset) -> None:
    sales = admin.get("/api/v1/dashboard/sales")["result"]["id"]
    assert analyst.client.put(f"/api/v1/dashboard/{sales}", json={"dashboard_title": "Mine"}).status_code in (403, 404)
    assert analyst.client.delete(f"/api/v1/dashboard/{sales}").status_code in (403, 404)
    assert analyst.client.get("/api/v1/security/users/").status_code in (403, 404)
    mine = {"database_name": "mine", "sqlalchemy_uri": "clickhousedb://reader:x@127.0.0.1:1/raw_users"}
    assert analyst.client.post("/api/v1/database/", json=mine).status_code in (401, 403, 404)
    assert analyst.dashboards() == {dashboard.slug for dashboard in FILES.dashboards}


def publish(stack: Stack, folder: Path = ASSETS, expected: int = 0) -> str:
    command, environment = inside(stack.env, "dashboards.server.publish", str(folder))
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == expected, done.stderr[-2000:]
    return (done.stderr if expected else done.stdout).strip().splitlines()[-1]


def test_what_leaves_the_files_leaves_superset_and_what_somebody_made_stays(
    shop: Stack, admin: Superset, analyst: Superset, tmp_path: Path
) -> None:
    source = {"datasource_id": analyst.dataset("ops_cdc_latency"), "datasource_type": "table", "viz_type": "table"}
    mine = f"of an analyst {uuid4().hex}"
    made = analyst.client.post("/api/v1/chart/", json=source | {"slice_name": mine, "params": "{}"})
    assert made.status_code == 201, made.text
    fewer = tmp_path / "assets"
    shutil.copytree(ASSETS, fewer)
    (fewer / "dashboards" / "platform.yaml").unlink()
    shutil.rmtree(fewer / "charts" / "platform")
    for name in ("ops_cdc_latency", "dim_dates"):
        (fewer / "datasets" / f"{name}.yaml").unlink()
    try:
        said = publish(shop, fewer)
        assert "dashboards/assets/dashboards/platform.yaml" in said and "datasets/dim_dates.yaml" in said
        assert "ops_cdc_latency" not in said  # the analyst's chart asks it
        assert admin.dashboards() == {dashboard.slug for dashboard in FILES.dashboards} - {"platform"}
        assert mine in admin.charts() and "Slowest change (seconds)" not in admin.charts()
    finally:
        analyst.client.delete(f"/api/v1/chart/{made.json()['id']}")
        assert publish(shop).endswith("removed: nothing")
    assert admin.dashboards() == {dashboard.slug for dashboard in FILES.dashboards}
    assert set(admin.charts()) == {chart.slice_name for chart in FILES.charts}


def test_publishing_again_changes_nothing_and_overwrites_what_was_changed_by_hand(shop: Stack, admin: Superset) -> None:
    before = admin.charts()
    chart = before["Cancellation rate"]
    changed = admin.client.put(f"/api/v1/chart/{chart}", json={"slice_name": "Changed by hand"})
    assert changed.status_code == 200, changed.text
    assert publish(shop).endswith("removed: nothing")
    assert admin.charts() == before


def test_a_file_that_superset_refuses_is_named_and_what_was_there_stays(
    shop: Stack, admin: Superset, tmp_path: Path
) -> None:
    wrong = tmp_path / "assets"
    shutil.copytree(ASSETS, wrong)
    broken = wrong / "charts" / "sales" / "orders.yaml"
    content = yaml.safe_load(broken.read_text())
    broken.write_text(yaml.safe_dump(content | {"viz_type": None}))
    before: dict[str, Any] = {"charts": admin.charts(), "dashboards": admin.dashboards()}
    assert "charts/sales/orders.yaml" in publish(shop, wrong, expected=1)
    assert before == {"charts": admin.charts(), "dashboards": admin.dashboards()}


def test_what_was_changed_in_superset_comes_back_to_its_file_and_nothing_else(
    shop: Stack, admin: Superset, tmp_path: Path
) -> None:
    copy = tmp_path / "assets"
    shutil.copytree(ASSETS, copy)
    assert run(shop, MILLRACE, "dashboards", "save", "--to", str(copy)).strip() == ""
    chart = admin.charts()["Cancellation rate"]
    try:
        changed = admin.client.put(f"/api/v1/chart/{chart}", json={"slice_name": "Share of cancelled orders"})
        assert changed.status_code == 200, changed.text
        said = run(shop, MILLRACE, "dashboards", "save", "--to", str(copy))
        assert said.strip() == str(copy / "charts" / "sales" / "cancellation-rate.yaml")
        assert "slice_name: Share of cancelled orders" in Path(said.strip()).read_text()
    finally:
        publish(shop)
