"""What is made of the marts, the metrics and the dashboards, and checked in: datasets, and dbt's exposures."""

from collections.abc import Collection, Mapping
from pathlib import Path

from dashboards.datasets import datasets
from dashboards.exposures import exposures
from dashboards.files import ASSETS, read
from dashboards.marts import Mart
from metrics.metric import Metrics

EXPOSURES = Path(__file__).resolve().parents[1] / "dbt" / "models" / "marts" / "_exposures.yml"


def dataset_files(
    marts: Mapping[str, Mart], metrics: Metrics, hidden: Mapping[str, Collection[str]]
) -> dict[Path, str]:
    """A file for each mart, with the content that it must have; `hidden` are columns that no dashboard may show."""
    return {ASSETS / "datasets" / name: content for name, content in datasets(marts, metrics, hidden).items()}


def exposure_file() -> dict[Path, str]:
    """The exposures of the dashboards as they are now. Raises DashboardError."""
    return {EXPOSURES: exposures(read())}


def write(marts: Mapping[str, Mart], metrics: Metrics, hidden: Mapping[str, Collection[str]]) -> list[Path]:
    """Write what is not as it must be, datasets first; returns those files. Raises DashboardError."""
    changed = _written(dataset_files(marts, metrics, hidden))
    for path in set((ASSETS / "datasets").glob("*.yaml")) - set(dataset_files(marts, metrics, hidden)):
        path.unlink()
        changed.append(path)
    return changed + _written(exposure_file())


def _written(files: Mapping[Path, str]) -> list[Path]:
    stale = [path for path, content in files.items() if not path.exists() or path.read_text() != content]
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path])
    return stale
