"""The files of dashboards/assets, read: connections, datasets, charts and dashboards.

Ids are the files' uuids, which never change. It asks no server.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from dashboards.asset import Asset, Chart, Connection, Dashboard, Dataset

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
ASSETS = Path(__file__).resolve().parent / "assets"


class DashboardError(Exception):
    """A file that cannot be read; the message is one line that names it."""


A = TypeVar("A", bound=Asset)


@dataclass(frozen=True)
class Assets:
    """All files."""

    connections: tuple[Connection, ...]
    datasets: tuple[Dataset, ...]
    charts: tuple[Chart, ...]
    dashboards: tuple[Dashboard, ...]

    def every(self) -> Iterator[Asset]:
        """Each file's content."""
        yield from (*self.connections, *self.datasets, *self.charts, *self.dashboards)

    def tiles(self) -> Iterator[tuple[Dashboard, Chart]]:
        """Each chart with each dashboard that it is on."""
        charts = {chart.uuid: chart for chart in self.charts}
        for dashboard in self.dashboards:
            yield from ((dashboard, charts[uuid]) for uuid in dashboard.charts if uuid in charts)


def read(folder: Path = ASSETS) -> Assets:
    """Every file of the folder. Raises DashboardError at the first that cannot be read."""
    return Assets(
        _all(folder, "databases", Connection),
        _all(folder, "datasets", Dataset),
        _all(folder, "charts", Chart),
        _all(folder, "dashboards", Dashboard),
    )


def _all(folder: Path, kind: str, model: type[A]) -> tuple[A, ...]:
    return tuple(_one(path, path.relative_to(folder), model) for path in sorted((folder / kind).glob("**/*.yaml")))


def _one(path: Path, place: Path, model: type[A]) -> A:
    where = f"dashboards/assets/{place}"
    try:
        given = yaml.load(path.read_bytes(), _LOADER)  # noqa: S506  (both are safe, the first is quicker)
    except yaml.YAMLError as error:
        raise DashboardError(f"{where} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(given, dict):
        raise DashboardError(f"{where} is no mapping of names to values")
    try:
        return model.model_validate(given | {"path": place})
    except ValidationError as error:
        first = error.errors()[0]
        raise DashboardError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
