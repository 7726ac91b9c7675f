"""What is wrong with the dashboards' files, a line for each fault; no server is asked.

Held against the marts' contracts and the metrics: a chart that passes asks for columns that are there and for metrics that
dbt/metrics.yml defines, grouped so that they mean something. What a line names is the file to correct.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from uuid import UUID

from dashboards.asked import Asked, asked, knows
from dashboards.asset import Chart, Dashboard, Dataset
from dashboards.files import Assets
from dashboards.marts import Mart
from metrics.metric import Metric, Metrics

PASSWORDS = "${CLICKHOUSE_"
"""How a connection names what the environment gives it."""


def faults(assets: Assets, marts: Mapping[str, Mart], metrics: Metrics) -> list[str]:
    """Every fault of every file."""
    datasets = {dataset.uuid: dataset for dataset in assets.datasets}
    found = [
        *_identities(assets),
        *_connections(assets),
        *(line for dataset in assets.datasets for line in _dataset(dataset, marts, assets)),
        *(line for chart in assets.charts for line in _chart(chart, datasets.get(chart.dataset_uuid), metrics)),
        *(line for dashboard in assets.dashboards for line in _dashboard(dashboard, assets, datasets)),
        *_forgotten(assets),
    ]
    return list(dict.fromkeys(found))


def _identities(assets: Assets) -> Iterator[str]:
    """Two files with one uuid would be one thing in Superset, two dashboards with one slug one address."""
    owners: dict[UUID, str] = {}
    for asset in assets.every():
        if asset.uuid in owners:
            yield f"{asset.place}: its uuid is that of {owners[asset.uuid]}; give it one of its own"
        owners.setdefault(asset.uuid, asset.place)
    slugs = Counter(dashboard.slug for dashboard in assets.dashboards)
    for dashboard in assets.dashboards:
        if slugs[dashboard.slug] > 1:
            yield f"{dashboard.place}: another dashboard has the slug {dashboard.slug} too"
        if dashboard.slug != dashboard.name:
            yield f"{dashboard.place}: its slug is {dashboard.slug}; name the file like it"


def _connections(assets: Assets) -> Iterator[str]:
    for connection in assets.connections:
        password = connection.sqlalchemy_uri.partition("@")[0].rpartition(":")[2]
        if not password.startswith(PASSWORDS):
            yield f"{connection.place}: the password is written out; write {PASSWORDS}<USER>_PASSWORD}}"


def _dataset(dataset: Dataset, marts: Mapping[str, Mart], assets: Assets) -> Iterator[str]:
    mart = marts.get(dataset.table_name)
    if mart is None:
        yield f"{dataset.place}: there is no mart {dataset.table_name}"
        return
    for column, kind in dataset.types.items():
        if column not in mart.types:
            yield f"{dataset.place}: {mart.name} has no column {column}"
        elif mart.types[column] != kind:
            yield f"{dataset.place}: {mart.name}.{column} is {mart.types[column]}, not {kind}"
    if dataset.database_uuid not in {connection.uuid for connection in assets.connections}:
        yield f"{dataset.place}: no file of databases/ has the uuid {dataset.database_uuid}"


def _chart(chart: Chart, dataset: Dataset | None, metrics: Metrics) -> Iterator[str]:
    if dataset is None:
        yield f"{chart.place}: no dataset has the uuid {chart.dataset_uuid}"
        return
    if not knows(chart):
        yield f"{chart.place}: charts of the kind {chart.viz_type} are not known; teach dashboards/asked.py where they hold formulas"
        return
    if chart.params.get("viz_type") != chart.viz_type:
        yield f"{chart.place}: params.viz_type is {chart.params.get('viz_type')}, not {chart.viz_type}"
    found = asked(chart)
    for formula in found.formulas:
        yield f"{chart.place}: a formula of its own ({formula}); define a metric in dbt/metrics.yml and ask for it by name"
    for column in found.columns:
        if column not in dataset.types:
            yield f"{chart.place}: {dataset.table_name} has no column {column}"
    if not found.metrics and not found.shown:
        yield f"{chart.place}: it asks for nothing"
    for name in found.metrics:
        if name not in {saved.metric_name for saved in dataset.metrics}:
            yield f"{chart.place}: {dataset.table_name} has no metric {name}; dbt/metrics.yml defines them"
        else:
            yield from _metric(chart, found, metrics[name], dataset)


def _metric(chart: Chart, found: Asked, metric: Metric, dataset: Dataset) -> Iterator[str]:
    """How a metric may be asked for: by its dimensions, with those that it needs, over the days that a page is turned to."""
    if missing := metric.requires - found.held:
        yield f"{chart.place}: {metric.name} needs {', '.join(sorted(missing))}: group by it or hold it to one value"
    known = {*metric.dimensions, metric.time}
    for name in (*found.grouped, *found.filtered):
        if name in dataset.types and name not in known:
            yield f"{chart.place}: {name} is no dimension of {metric.mart}; it has: {', '.join(sorted(known - {''}))}"
    if metric.time and found.filtered.get(metric.time, ("", None))[0] != "TEMPORAL_RANGE":
        yield f"{chart.place}: a page's range of time would not reach it: filter {metric.time} by TEMPORAL_RANGE"


def _dashboard(dashboard: Dashboard, assets: Assets, datasets: Mapping[UUID, Dataset]) -> Iterator[str]:
    known = {chart.uuid for chart in assets.charts}
    for uuid in dashboard.charts:
        if uuid not in known:
            yield f"{dashboard.place}: no chart has the uuid {uuid}"
    for name, child in dashboard.position.items():
        for inner in child.get("children", ()) if isinstance(child, dict) else ():
            if inner not in dashboard.position:
                yield f"{dashboard.place}: {name} holds {inner}, which is not there"
    for one in dashboard.metadata.get("native_filter_configuration", ()):
        for target in one.get("targets", ()):
            if "datasetUuid" not in target:
                continue
            dataset = datasets.get(UUID(target["datasetUuid"]))
            if dataset is None:
                yield f"{dashboard.place}: the filter {one['name']} asks a dataset that is not there"
            elif "column" in target and target["column"]["name"] not in dataset.types:
                yield f"{dashboard.place}: the filter {one['name']}: {dataset.table_name} has no column {target['column']['name']}"


def _forgotten(assets: Assets) -> Iterator[str]:
    shown = {uuid for dashboard in assets.dashboards for uuid in dashboard.charts}
    for chart in assets.charts:
        if chart.uuid not in shown:
            yield f"{chart.place}: it is on no dashboard"
