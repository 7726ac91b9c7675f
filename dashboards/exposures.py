"""The dashboards as dbt's exposures, so that dbt knows who reads which mart; written by `millrace dashboards write`."""

from dashboards.files import Assets
from dashboards.yamls import dumped

HEAD = "# Written by `millrace dashboards write` from dashboards/assets: change those, not this.\n"


def exposures(assets: Assets) -> str:
    """dbt/models/marts/_exposures.yml."""
    datasets = {dataset.uuid: dataset.table_name for dataset in assets.datasets}
    found = []
    for dashboard in assets.dashboards:
        asks = {datasets.get(chart.dataset_uuid) for at, chart in assets.tiles() if at.uuid == dashboard.uuid} - {None}
        found.append(
            {
                "name": f"dashboard_{dashboard.slug.replace('-', '_')}",
                "label": dashboard.dashboard_title,
                "type": "dashboard",
                "maturity": "high",
                "description": dashboard.description,
                "depends_on": [f"ref('{mart}')" for mart in sorted(map(str, asks))],
                "owner": {"name": dashboard.certified_by},
            }
        )
    return HEAD + dumped({"version": 2, "exposures": found})
