"""`python -m services.invariants`: check every minute and show the outcome as metrics on 127.0.0.1:$PORT.

Every minute the orders that changed within the last hour, once an hour all of them. A violation is logged and counted; the
process stays ready, because it does its work. It is not ready while it cannot look.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import psycopg
from fastapi import APIRouter, FastAPI
from prometheus_client import Gauge

from services.invariants.check import Verdict, check
from services.invariants.databases import opened
from services.invariants.settings import ProcessSettings
from services.kit.background import in_background
from services.kit.http import application
from services.kit.problem import Unavailable
from services.kit.start import Check, start

VIOLATIONS = Gauge("millrace_invariant_violations", "Rows that break an invariant, when last looked.", ["invariant"])
CHECKED_AT = Gauge("millrace_invariants_checked_timestamp_seconds", "When the invariants were last checked.")
SECONDS = Gauge("millrace_invariants_check_seconds", "How long the last check took.")
_RECENT_S = 3600.0
_AGAIN_S = 2.0
"""After a look that could not be taken."""

log = logging.getLogger("services.invariants")


class Watch:
    """Looks again and again; `failure` says why the last look could not be taken."""

    def __init__(self, dsns: Mapping[str, str], every_s: float) -> None:
        self._dsns = dsns
        self._every_s = every_s
        self._all_at = float("-inf")
        self.failure: str | None = "the first check is under way"

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self._look)
                self.failure = None
            except psycopg.Error as error:
                self.failure = str(error).splitlines()[0]
                log.warning("the invariants cannot be checked: %s", self.failure)
            await asyncio.sleep(self._every_s if self.failure is None else min(self._every_s, _AGAIN_S))

    def _look(self) -> None:
        began = time.monotonic()
        whole = began - self._all_at >= _RECENT_S
        with opened(self._dsns) as databases:
            verdicts = check(databases, since_s=None if whole else _RECENT_S)
        if whole:
            self._all_at = began
        for verdict in verdicts:
            _tell(verdict)
        SECONDS.set(time.monotonic() - began)
        CHECKED_AT.set_to_current_time()


def _tell(verdict: Verdict) -> None:
    VIOLATIONS.labels(verdict.name).set(verdict.violations)
    if verdict.violations:
        fields = {"invariant": verdict.name, "violations": verdict.violations, "rows": verdict.rows}
        log.error("an invariant is violated: %s", verdict.meaning, extra={"fields": fields})


@asynccontextmanager
async def wiring(_: FastAPI, settings: ProcessSettings) -> AsyncIterator[Mapping[str, Check]]:
    watch = Watch(settings.dsns, settings.every_s)

    async def looks() -> None:
        if watch.failure is not None:
            raise Unavailable(watch.failure)

    async with in_background(watch.run()):
        yield {"databases": looks}


if __name__ == "__main__":
    start("invariants", ProcessSettings, partial(application, "invariants", APIRouter()), wiring)
