"""The dashboards' files as they are: nothing wrong with them, and what is made of them checked in."""

import yaml

from dashboards import saved
from dashboards.asked import asked
from dashboards.faults import faults
from dashboards.files import ASSETS as FOLDER
from dashboards.files import read
from dashboards.marts import marts
from dashboards.written import dataset_files, exposure_file
from metrics.contracts import contracts
from metrics.definitions import load
from stack.processes.clickhouse_users import HIDDEN_COLUMNS, HIDDEN_TABLES
from stack.settings import ROOT

ASSETS = read()
METRICS = load(contracts())


def test_nothing_is_wrong_with_the_dashboards() -> None:
    assert faults(ASSETS, marts(), METRICS) == []
    assert {dashboard.slug for dashboard in ASSETS.dashboards} == {
        "sales", "customers", "inventory", "payments", "search", "platform"
    }  # fmt: skip


def test_what_is_made_of_marts_metrics_and_dashboards_is_checked_in() -> None:
    made = dataset_files(marts(), METRICS, HIDDEN_COLUMNS) | exposure_file()
    stale = [str(path.relative_to(ROOT)) for path, content in made.items() if path.read_text() != content]
    assert stale == [], "run `millrace dashboards write`"
    assert {dataset.table_name for dataset in ASSETS.datasets} == marts().keys(), "run `millrace dashboards write`"


def test_files_are_as_they_would_be_saved() -> None:
    """So that what `millrace dashboards save` changes is what somebody changed."""
    for asset in (*ASSETS.charts, *ASSETS.dashboards):
        text = (FOLDER / asset.path).read_text()
        form = saved.chart if asset.path.parts[0] == "charts" else saved.dashboard
        assert form(yaml.safe_load(text)) == text, f"{asset.place}: see dashboards/saved.py"


def test_every_metric_of_a_dataset_is_one_of_the_metrics() -> None:
    """Datasets are written from dbt/metrics.yml; this reads them again without the writer."""
    for dataset in ASSETS.datasets:
        for metric in dataset.metrics:
            known = METRICS[metric.metric_name]
            assert (known.mart, known.label, known.description) == (
                dataset.table_name, metric.verbose_name, metric.description
            )  # fmt: skip
            for part in known.parts or (known,):
                assert part.qualified(known.mart) in metric.expression


def test_no_dataset_has_what_is_hidden_from_analysts() -> None:
    shown = {(dataset.table_name, column) for dataset in ASSETS.datasets for column in dataset.types}
    assert not shown & {(mart, column) for mart, columns in HIDDEN_COLUMNS.items() for column in columns}
    assert not {dataset.table_name for dataset in ASSETS.datasets} & set(HIDDEN_TABLES)
    for dataset in ASSETS.datasets:
        hidden = set(HIDDEN_COLUMNS.get(dataset.table_name, ()))
        assert not {name for metric in dataset.metrics for name in METRICS[metric.metric_name].columns} & hidden


def test_every_dashboard_has_an_owner_whom_dbt_knows_and_every_chart_says_what_it_shows() -> None:
    groups = (ROOT / "dbt" / "models" / "_groups.yml").read_text()
    for dashboard in ASSETS.dashboards:
        assert f"name: {dashboard.certified_by}," in groups, dashboard.place
        assert dashboard.description.endswith("?"), f"{dashboard.place}: its description is its question"
    assert [chart.place for chart in ASSETS.charts if not chart.description] == []
    assert len({chart.slice_name for chart in ASSETS.charts}) == len(ASSETS.charts), "two tiles have one name"


def test_money_is_never_added_over_currencies() -> None:
    for chart in ASSETS.charts:
        found = asked(chart)
        for name in found.metrics:
            if METRICS[name].unit == "money" and "currency" in METRICS[name].dimensions:
                assert "currency" in found.held, chart.place


def test_no_file_holds_an_address_or_a_password() -> None:
    for connection in ASSETS.connections:
        user = connection.sqlalchemy_uri.split("://")[1].split(":")[0]
        assert connection.sqlalchemy_uri == (
            f"clickhousedb://{user}:${{CLICKHOUSE_{user.upper()}_PASSWORD}}@${{CLICKHOUSE_ADDRESS}}/analytics"
        )
    assert [one.database_name for one in ASSETS.connections if one.expose_in_sqllab] == ["Marts, as analyst"]
