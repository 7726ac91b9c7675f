"""Which asset may be how old: one file for all, the last line that fits holds."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import dagster as dg
import yaml

FILE = Path(__file__).parents[1] / "defs" / "freshness" / "policies.yaml"


class UnknownAssetError(ValueError):
    """A line of the file fits no asset: a name is misspelled, or the asset is gone."""


@dataclass(frozen=True)
class Policy:
    """Assets whose key, parts joined by slashes, fits the pattern are late after so many seconds."""

    assets: str
    late_after: float


@cache
def policies() -> tuple[Policy, ...]:
    """The lines of the file, in their order."""
    return tuple(Policy(**line) for line in yaml.safe_load(FILE.read_text()))


def late_after(key: dg.AssetKey, lines: Iterable[Policy] | None = None) -> float | None:
    """Seconds that the asset may be behind; None: nobody said."""
    name = "/".join(key.path)
    fitting = [line.late_after for line in (policies() if lines is None else lines) if fnmatchcase(name, line.assets)]
    return fitting[-1] if fitting else None


def refuse_unknown(keys: Iterable[dg.AssetKey], lines: Iterable[Policy] | None = None) -> None:
    """Raise UnknownAssetError for a line that fits none of the assets."""
    names = ["/".join(key.path) for key in keys]
    for line in policies() if lines is None else lines:
        if not any(fnmatchcase(name, line.assets) for name in names):
            raise UnknownAssetError(f"{FILE.name}: no asset fits {line.assets!r}; correct it or take the line out")
