"""What the dashboards' tiles are drawn from: metrics, columns that they list, group and filter by, and the marts' rows."""

from collections.abc import Iterator

from dashboards.asked import asked
from dashboards.files import Assets, read


def drawn(assets: Assets | None = None) -> Iterator[tuple[str, str]]:
    """(`tile.sales.revenue-over-time`, `metric.net_revenue`) for everything that every tile asks for."""
    known = assets or read()
    marts = {dataset.uuid: f"analytics.{dataset.table_name}" for dataset in known.datasets}
    for dashboard, chart in known.tiles():
        if chart.dataset_uuid not in marts:
            continue  # a fault of the file, which `millrace dashboards check` names
        tile, mart, found = f"tile.{dashboard.slug}.{chart.name}", marts[chart.dataset_uuid], asked(chart)
        yield tile, f"{mart}.*"
        yield from ((tile, f"metric.{name}") for name in found.metrics)
        yield from ((tile, f"{mart}.{column}") for column in found.columns)
