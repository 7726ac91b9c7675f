"""What the stack's processes logged while a test failed: it goes with the failure, since nobody can ask a stack that is gone."""

import re
from pathlib import Path

import pytest

from tests import starting

_LINES = 12
_WORTH_READING = re.compile(r"\b(WARN(ING)?|ERROR|CRITICAL|FATAL|Traceback)\b|[a-z]Error\b")
_SIZES = pytest.StashKey[dict[Path, int]]()


def remember(item: pytest.Item) -> None:
    """Remember where the logs end, before the test."""
    item.stash[_SIZES] = {path: path.stat().st_size for path in _logs()}


def tell(item: pytest.Item, report: pytest.TestReport) -> None:
    """Add to the report of a failed test the last warnings of each process since it began."""
    before = item.stash.get(_SIZES, {})
    for path in _logs():
        with path.open("rb") as log:
            log.seek(before.get(path, 0))
            lines = log.read().decode(errors="replace").splitlines()
        if worth := [line[:300] for line in lines if _WORTH_READING.search(line)][-_LINES:]:
            report.sections.append((f"{path.name}: its last warnings since the test began", "\n".join(worth)))


def _logs() -> list[Path]:
    return sorted((starting.settings().home / "logs").glob("*.log"))
