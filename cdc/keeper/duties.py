"""The keeper's quick duties, one after the other; what may take an hour is in `cdc.keeper.copies`."""

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import clickhouse, shapes
from cdc import state as engine_state
from cdc.epochs import raise_epoch
from cdc.errors import TransientError
from cdc.kafka import Kafka
from cdc.keeper import partitions
from cdc.keeper.erasures import settle_erasures
from cdc.keeper.floors import WRITER, settle_floors
from cdc.keeper.gauges import set_gauges
from cdc.keeper.tables import Tables
from cdc.keeper.watch import Watch
from cdc.line import broken_line
from cdc.settings import CdcSettings
from cdc.source_file import SourceFile

log = logging.getLogger("millrace.keeper")

_EVERY = 2.0
_MEASURE_EVERY = 10.0
_ORPHANED = "30 seconds"


class Duties(Watch):
    """Looks at every duty every two seconds."""

    def __init__(self, config: CdcSettings, ended: Callable[[], None]) -> None:
        super().__init__("duties", _EVERY, ended)
        self._config = config
        self._measured = 0.0
        self._tables = Tables(config)

    def turn(self) -> None:
        """Do all duties again and again, for as long as the parts answer."""
        self.attempt("connections", self._with_parts)

    def _with_parts(self) -> None:
        kafka = Kafka(self._config.kafka_bootstrap)
        try:
            with engine_state.connect(self._config.millrace_state_dsn) as state:
                engine_state.close_abandoned(state, WRITER)
                target = clickhouse.engine_client(self._config)
                while not self._stopping.is_set():
                    for name, duty in self._duties(state, kafka, target):
                        self.attempt(name, duty)
                        if state.closed:
                            raise TransientError("the engine's state went away; its connection is made anew")
                    self._stopping.wait(_EVERY)
        finally:
            kafka.close()

    def _duties(
        self, state: psycopg.Connection[Any], kafka: Kafka, target: Client
    ) -> Iterator[tuple[str, Callable[[], object]]]:
        sources = engine_state.applied_sources(state)
        self.forget_others({file.source for file, _ in sources})
        for file, _ in sources:
            yield f"line of {file.source}", partial(self._follow_line, file, state, kafka, target)
            yield f"shapes of {file.source}", partial(shapes.follow, file.source, state, target)
            yield f"tables of {file.source}", partial(self._tables.follow, file.source, state, kafka, target)
            yield f"partitions of {file.source}", partial(partitions.watch, file, state)
        if time.monotonic() - self._measured >= _MEASURE_EVERY:
            yield "metrics", partial(set_gauges, self._config, state, kafka)
            self._measured = time.monotonic()
        yield "batches", partial(_close_orphaned, state)
        yield "floors", partial(settle_floors, state, kafka, target)
        yield "erasures", partial(settle_erasures, state, target)

    def _follow_line(self, file: SourceFile, state: psycopg.Connection[Any], kafka: Kafka, target: Client) -> None:
        with engine_state.line_of(state, file.source, wait=False) as held:
            known = engine_state.find_source(state, file.source)
            file = engine_state.applied_file(state, file.source) or file
            if held and known is not None and (why := broken_line(file, known, self._config)):
                log.warning("source %s: %s; raising its epoch", file.source, why.reason)
                raise_epoch(file, why, self._config, state, kafka, target, lambda line: log.info("%s", line))


def _close_orphaned(state: psycopg.Connection[Any]) -> None:
    for batch, writer in engine_state.close_orphaned(state, _ORPHANED):
        log.warning(
            "batch %d of %s was left open by a process that is gone; readers wait for it no more", batch, writer
        )
