"""The keeper's slow duties, one after the other in a thread of their own: a fault in one is logged and does not stop the others."""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import clickhouse, shapes
from cdc import state as engine_state
from cdc.epochs import broken_line, raise_epoch
from cdc.errors import CdcError
from cdc.kafka import Kafka
from cdc.keeper import partitions
from cdc.keeper.floors import WRITER, settle_floors
from cdc.keeper.gauges import set_gauges
from cdc.keeper.mending import mend_asked
from cdc.settings import CdcSettings
from cdc.source_file import SourceFile

log = logging.getLogger("millrace.keeper")

_EVERY = 4.0
_MEASURE_EVERY = 10.0


class Duties(threading.Thread):
    """Looks at every duty every four seconds until `stop`. ``problems`` says what could not be done the last time, by duty;
    ``ended`` is called when it looks no more."""

    def __init__(self, config: CdcSettings, ended: Callable[[], None]) -> None:
        super().__init__(daemon=True, name="duties")
        self._config = config
        self._ended = ended
        self._stopping = threading.Event()
        self._measured = 0.0
        self.problems: dict[str, str] = {}

    def stop(self) -> None:
        """End soon: after the duty in hand."""
        self._stopping.set()

    def run(self) -> None:
        """Do all duties again and again; a part that is away is asked again at the next turn."""
        try:
            while not self._stopping.is_set():
                self._attempt("connections", self._with_parts)
                self._stopping.wait(_EVERY)
        finally:
            self._ended()  # also after a fault of ours: the process then ends, and its next life goes on

    def _with_parts(self) -> None:
        kafka = Kafka(self._config.kafka_bootstrap)
        try:
            with engine_state.connect(self._config.millrace_state_dsn) as state:
                engine_state.close_abandoned(state, WRITER)
                target = clickhouse.connect(self._config.clickhouse_url, self._config.clickhouse_cdc_password)
                while not self._stopping.is_set() and "connections" not in self.problems:
                    self._turn(state, kafka, target)
                    self._stopping.wait(_EVERY)
        finally:
            kafka.close()

    def _turn(self, state: psycopg.Connection[Any], kafka: Kafka, target: Client) -> None:
        for file, _ in engine_state.applied_sources(state):
            self._attempt(f"line of {file.source}", partial(self._follow_line, file, state, kafka, target))
            self._attempt(f"shapes of {file.source}", partial(shapes.follow, file, state, target))
            self._attempt(f"partitions of {file.source}", partial(partitions.watch, file, state))
        if time.monotonic() - self._measured >= _MEASURE_EVERY:
            self._attempt("metrics", lambda: set_gauges(self._config, state, kafka))
            self._measured = time.monotonic()
        self._attempt("floors", lambda: settle_floors(state, kafka, target))
        self._attempt("mending", lambda: mend_asked(state))

    def _follow_line(self, file: SourceFile, state: psycopg.Connection[Any], kafka: Kafka, target: Client) -> None:
        with engine_state.line_of(state, file.source, wait=False) as held:
            known = engine_state.find_source(state, file.source)
            if held and known is not None and (reason := broken_line(file, known, self._config)):
                log.warning("source %s: %s; raising its epoch", file.source, reason)
                raise_epoch(file, reason, self._config, state, kafka, target, lambda line: log.info("%s", line))

    def _attempt(self, name: str, duty: Callable[[], object]) -> None:
        try:
            duty()
            self.problems.pop(name, None)
        except (CdcError, psycopg.Error) as error:
            reason = " ".join(str(error).split())
            if self.problems.get(name) != reason:
                log.warning("%s: %s", name, reason)
            self.problems[name] = reason
