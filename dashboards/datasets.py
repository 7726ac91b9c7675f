"""The datasets that marts and metrics make: a file for each mart that a dashboard may ask, never written by hand.

Columns are those of the mart's contract, less what is hidden from analysts; metrics are those of dbt/metrics.yml, less those
that need a hidden column. So nothing is defined here.
"""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID, uuid5

from dashboards.marts import Mart
from dashboards.yamls import dumped
from metrics.compiler import expression
from metrics.metric import Metrics

SPACE = UUID("6f1f7c1e-3c0b-4b7e-9a53-0d7a2f3f5a10")
"""Of the datasets' uuids, which follow from their marts' names."""
MARTS_CONNECTION = UUID("0b6d7b52-6a0f-4a3c-8d63-9a8f8b1e2c01")
FORMATS = {"money": ",.2f", "count": ",d", "share": ".1%", "number": ",.2f"}


def uuid_of(mart: str) -> UUID:
    """The dataset's uuid."""
    return uuid5(SPACE, mart)


def dataset(mart: Mart, metrics: Metrics, hidden: Collection[str]) -> str:
    """The file of one mart."""
    of_mart = [one for one in metrics.by_name.values() if one.mart == mart.name and not one.columns & set(hidden)]
    time = of_mart[0].time if of_mart else ""
    content: dict[str, Any] = {
        "table_name": mart.name,
        "schema": "analytics",
        "description": mart.description,
        "main_dttm_col": time or None,
        "filter_select_enabled": True,
        "columns": [
            {
                "column_name": column.name,
                "verbose_name": column.name.strip("_").replace("_", " ").capitalize(),
                "type": column.type,
                "is_dttm": "Date" in column.type,
                "description": column.description,
            }
            for column in mart.columns
            if column.name not in hidden
        ],
        "metrics": [
            {
                "metric_name": one.name,
                "verbose_name": one.label,
                "expression": expression(one, mart.name),
                "description": one.description,
                "d3format": FORMATS[one.unit],
            }
            for one in of_mart
        ],
        "uuid": str(uuid_of(mart.name)),
        "version": "1.0.0",
        "database_uuid": str(MARTS_CONNECTION),
    }
    return dumped(content)


def datasets(marts: Mapping[str, Mart], metrics: Metrics, hidden: Mapping[str, Collection[str]]) -> dict[str, str]:
    """File name -> content, for every mart."""
    return {f"{name}.yaml": dataset(mart, metrics, hidden.get(name, ())) for name, mart in sorted(marts.items())}
