"""Restarts failed connector tasks: Connect itself does not.

A task that fails again and again is restarted with growing pauses, and each reason is logged; it never gives up, since
most failures (a database that is away, a broker that restarts) end by themselves.
"""

import logging
import threading
import time

from cdc.connect.client import ConnectClient
from cdc.errors import CdcError

log = logging.getLogger("millrace.keeper")

_EVERY = 1.0
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_FORGIVEN_AFTER = 120.0


class Guard:
    """Watches all connectors of one Connect cluster."""

    def __init__(self, connect: ConnectClient) -> None:
        self._connect = connect
        self._stopping = threading.Event()
        self._pauses: dict[str, float] = {}
        self._next_try: dict[str, float] = {}
        self.restarts = 0
        self.last_problem: str | None = None

    def stop(self) -> None:
        """End `run` soon."""
        self._stopping.set()

    def run(self) -> None:
        """Look once a second until `stop`."""
        while not self._stopping.wait(_EVERY):
            try:
                for name, failures in self._connect.all_failures().items():
                    self._look_after(name, failures)
                self.last_problem = None
            except CdcError as error:
                if str(error) != self.last_problem:
                    log.warning("%s", error)
                self.last_problem = str(error)

    def _look_after(self, name: str, failures: list[str]) -> None:
        now = time.monotonic()
        if not failures:
            if now - self._next_try.get(name, now) > _FORGIVEN_AFTER:
                self._pauses.pop(name, None)
                self._next_try.pop(name, None)
            return
        if now < self._next_try.get(name, 0.0):
            return
        pause = self._pauses.get(name, _FIRST_PAUSE)
        log.warning("connector %s failed, restarting: %s", name, failures[0])
        self._connect.restart_failed(name)
        self.restarts += 1
        self._next_try[name] = now + pause
        self._pauses[name] = min(pause * 2, _LONGEST_PAUSE)
