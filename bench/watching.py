"""Polling a copy until each expected row is in it, noting when it was first seen."""

import statistics
import threading
import time
from collections.abc import Callable, Iterable

import httpx
from clickhouse_connect.driver.exceptions import ClickHouseError

_TIMEOUT = 30.0
_POLL = 0.002


class Watcher(threading.Thread):
    """Asks a copy again and again for rows not seen yet; `expect` tells it of each row, with the time of its commit.

    ``seen`` is given the names of rows that are expected and not seen yet, and returns those of them that are visible now.
    """

    def __init__(self, seen: Callable[[list[str]], Iterable[str]]) -> None:
        super().__init__(daemon=True)
        self._seen = seen
        self._committed: dict[str, float] = {}
        self._at: dict[str, float] = {}
        self._last = threading.Event()
        self.polls: list[float] = []
        self._failure: Exception | None = None

    def expect(self, name: str, committed: float) -> None:
        """A row of this name was committed at this time (`time.perf_counter`)."""
        self._committed[name] = committed

    def run(self) -> None:
        """Poll until every expected row was seen and `finish` was called."""
        try:
            while True:
                last = self._last.is_set()
                missing = [name for name in list(self._committed) if name not in self._at]
                if last and not missing:
                    return
                if missing:
                    self._look(missing)
                time.sleep(_POLL)  # polls the copy itself: visibility is what is measured
        except (httpx.HTTPError, ClickHouseError) as error:
            self._failure = error

    def _look(self, missing: list[str]) -> None:
        before = time.perf_counter()
        found = self._seen(missing)
        now = time.perf_counter()
        self.polls.append(now - before)
        for name in found:
            self._at.setdefault(name, now)

    def finish(self) -> list[float]:
        """Wait until every expected row was seen; returns milliseconds from commit to sight, in order of expectation.

        Raises:
            TimeoutError: some rows were not visible in time; says how many.
        """
        self._last.set()
        self.join(_TIMEOUT)
        if self._failure is not None:
            raise self._failure
        if self.is_alive():
            missing = len(self._committed) - len(self._at)
            raise TimeoutError(
                f"{missing} of {len(self._committed)} rows were not visible {_TIMEOUT:g} s after the last commit"
            )
        return [(self._at[name] - committed) * 1000 for name, committed in self._committed.items()]


def percentiles(samples: list[float]) -> tuple[float, float]:
    """(p50, p99) of at least two samples."""
    cuts = statistics.quantiles(samples, n=100, method="inclusive")
    return cuts[49], cuts[98]
