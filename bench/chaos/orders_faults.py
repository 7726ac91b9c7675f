"""Killing what orders need while sagas are in flight, and seeing how soon the sagas of a killed orders process go on."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import psycopg

from bench.chaos.orders_load import CUSTOMERS, Load
from bench.chaos.orders_plan import Kill
from bench.chaos.processes import find, kill, wait_until_healthy
from stack.settings import Settings

OPEN = ["PENDING", "ENQUEUED", "DELAYED"]
_IN_FLIGHT = 24
"""A process is killed when so many sagas are under way: some end in the moment before the signal, and 20 must not have."""

_HEALTHY = 120.0
_RESUMED = 60.0
_POLL = 0.02
_SECONDS = 3.0

_UNDER_WAY = """
SELECT workflow_uuid, recovery_attempts FROM dbos.workflow_status WHERE status = ANY(%(open)s) AND created_at >= %(began)s
"""
_NOT_TAKEN_UP = """
SELECT count(*) FROM dbos.workflow_status JOIN unnest(%(ids)s::text[], %(attempts)s::bigint[]) AS before (id, attempts)
    ON id = workflow_uuid
WHERE status = ANY(%(open)s) AND recovery_attempts <= attempts
"""
_HIT = """
SELECT count(*) FROM dbos.workflow_status
WHERE created_at BETWEEN %(began)s AND %(before)s AND (completed_at IS NULL OR completed_at >= %(after)s)
"""


@dataclass(frozen=True)
class Done:
    """One kill: from just before to just after the signal, in milliseconds since 1970."""

    process: str
    before: int
    after: int


class Breaker:
    """Carries a schedule of kills out on a running stack."""

    def __init__(self, settings: Settings, env: Mapping[str, str], load: Load, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._env = env
        self._load = load
        self._say = say
        self._began = _now()
        self.done: list[Done] = []
        self.resumed_s: list[float] = []

    def run(self, kills: Sequence[Kill]) -> None:
        """Do each kill when it is due and sagas are in flight, and wait until the process is back and well.

        Customers wait meanwhile, but for those that are under way: else the last kills would find nobody left.
        """
        try:
            self._run(kills)
        finally:
            self._load.may_start = math.inf

    def _run(self, kills: Sequence[Kill]) -> None:
        for planned in kills:
            process = find(self._settings, planned.process)
            if process is None:
                raise TimeoutError(f"{planned.process} did not come back; `millrace logs {planned.process}` says why")
            if not self._wait_until_due(planned):
                return
            self._kill(planned.process, process)
            wait_until_healthy(self._settings, _HEALTHY)

    def hit(self, orders_dsn: str) -> dict[str, int]:
        """By process: sagas that had begun before a kill and ended after it."""
        found: dict[str, int] = {}
        with psycopg.connect(orders_dsn) as connection:
            for done in self.done:
                values = {"began": self._began, "before": done.before, "after": done.after}
                [(count,)] = connection.execute(_HIT, values).fetchall()
                found[done.process] = found.get(done.process, 0) + int(count)
        return found

    def _wait_until_due(self, planned: Kill) -> bool:
        """False when the customers were done before."""
        with self._orders() as connection:
            while not self._load.over:
                self._load.may_start = max(planned.answered, self._load.answered) + CUSTOMERS
                if self._load.answered >= planned.answered and len(self._under_way(connection)) >= _IN_FLIGHT:
                    return True
                time.sleep(_POLL)  # polls the load's progress and the sagas
        return False

    def _kill(self, name: str, process: psutil.Process) -> None:
        before = _now()
        psutil.wait_procs(kill(process), timeout=10)
        self.done.append(Done(name, before, _now()))
        self._say(f"{self._load.answered:5d} answered  kill {name}")
        if name == "orders":
            self.resumed_s.append(self._resumption())
            self._say(f"{'':15s} its sagas were resumed {self.resumed_s[-1]:g} s after it was back")

    def _resumption(self) -> float:
        """Seconds from the new process's first answer until each saga that was open has been taken up."""
        with self._orders() as connection:
            left = self._under_way(connection)
            self._wait_until_back()
            back = time.monotonic()
            values = {"open": OPEN, "ids": list(left), "attempts": list(left.values())}
            while connection.execute(_NOT_TAKEN_UP, values).fetchall() != [(0,)]:
                if time.monotonic() > back + _RESUMED:
                    raise TimeoutError(f"sagas were not resumed within {_RESUMED:g} s; `millrace saga list` shows them")
                time.sleep(_POLL)  # polls the engine's table
        return round(time.monotonic() - back, 2)

    def _wait_until_back(self) -> None:
        deadline = time.monotonic() + _HEALTHY
        with httpx.Client(timeout=_SECONDS, trust_env=False) as http:
            while True:
                try:
                    if http.get(f"{self._env['ORDERS_URL']}/livez").is_success:
                        return
                except httpx.TransportError:
                    if time.monotonic() > deadline:
                        raise
                time.sleep(_POLL)  # polls the process

    def _under_way(self, connection: psycopg.Connection[Any]) -> dict[str, int]:
        return dict(connection.execute(_UNDER_WAY, {"open": OPEN, "began": self._began}).fetchall())

    def _orders(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self._env["ORDERS_DSN"], autocommit=True)


def _now() -> int:
    return int(time.time() * 1000)
