"""The loop of the ClickHouse sink: consume, insert, commit, and publish how far readers may read.

One flush takes what has arrived (a single row when idle, tens of thousands under load), inserts table by table, several
at a time, and commits the offsets after every insert was acknowledged. A change that ClickHouse refuses stops the sink
with its reason; nothing is skipped.
"""

import logging
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer

from cdc import state as engine_state
from cdc.catalog import Shape
from cdc.errors import CdcError, LostOffsetError
from cdc.sinks import positions
from cdc.sinks.clickhouse import raw_table, writer
from cdc.sinks.clickhouse.messages import Batch, InsertKey
from cdc.sinks.clickhouse.watermark import Watermark

log = logging.getLogger("millrace.clickhouse-sink")

_MOST_ROWS = 20_000
_LINGER = 0.01  # seconds: gathers the rows of one transaction; small against the path's other hops
_IDLE = 0.25
_PATIENCE = 120.0
_INSERTS_AT_ONCE = 3
_LOOK_FOR_TABLES = 2.0


class ClickHouseSink:
    """One member of the sinks' consumer group. `run` returns after `stop`, with everything in hand written.

    ``writer_name`` is the same in every life of this member and differs from the other members': by it a new life closes
    the batches that its last one left open.
    """

    def __init__(self, reader: Consumer, clickhouse: Client, state_dsn: str, writer_name: str) -> None:
        self._name = writer_name
        self._reader = reader
        self._clickhouse = clickhouse
        self._state = engine_state.connect(state_dsn)
        self._writer_states = [psycopg.connect(state_dsn, autocommit=True) for _ in range(_INSERTS_AT_ONCE)]
        self._free_states = list(self._writer_states)
        self._watermark = Watermark(self._state, clickhouse)
        self._shapes: dict[str, Shape] = {}
        self._failed: list[CdcError] = []
        self._stopping = False
        self._assigned = False  # asked of the consumer by its own thread only: it answers others between its polls
        self.rows = 0
        self.flushes = 0
        self.last_flush_at: float | None = None

    @property
    def ready(self) -> bool:
        """Whether partitions are assigned (or nothing is captured yet)."""
        return not self._shapes or self._assigned

    def stop(self) -> None:
        """Ask the loop to end after the flush in hand."""
        self._stopping = True

    def run(self) -> None:
        """Read and write until `stop`.

        Raises:
            CdcError: something that needs a person, or a target away for longer than the sink's patience; offsets of
                what was not written are not committed.
        """
        engine_state.close_abandoned(self._state, self._name)
        looked = 0.0
        with ThreadPoolExecutor(_INSERTS_AT_ONCE, thread_name_prefix="insert") as pool:
            while not self._stopping:
                if time.monotonic() - looked >= _LOOK_FOR_TABLES:
                    self._follow_tables()
                    looked = time.monotonic()
                self._watermark.publish()
                batch = self._consume()
                self._assigned = bool(self._reader.assignment())
                if self._failed:
                    raise self._failed[0]
                if batch.gone:
                    self._refuse_lost_topics(batch.gone)
                if batch.offsets:
                    self._flush(batch, pool)

    def _follow_tables(self) -> None:
        shapes = {
            table.shape.topic: table.shape
            for table in engine_state.captured_tables(self._state)
            if "clickhouse" in table.targets
        }
        if shapes.keys() != self._shapes.keys():
            log.info("reading %d tables", len(shapes))
            if shapes:
                positions.subscribe(self._reader, sorted(shapes), lambda: None, self._failed)
            else:
                self._reader.unsubscribe()
        self._shapes = shapes

    def _refuse_lost_topics(self, gone: set[str]) -> None:
        """A topic may go with its source; the topic of a captured table may not."""
        self._follow_tables()
        if lost := sorted(gone & self._shapes.keys()):
            raise LostOffsetError(
                f"topic {lost[0]} is gone while its table is captured; take the source out and apply it anew"
            )

    def _consume(self) -> Batch:
        batch = Batch()
        if not self._shapes:
            time.sleep(_IDLE)  # nothing is captured: there is no topic to wait on
            return batch
        first = self._reader.poll(_IDLE)
        if first is None:
            return batch
        batch.add_all([first])
        batch.add_all(self._reader.consume(_MOST_ROWS, _LINGER))
        return batch

    def _flush(self, batch: Batch, pool: ThreadPoolExecutor) -> None:
        for done in [pool.submit(self._insert, key, rows) for key, rows in batch.bodies.items()]:
            done.result()
        positions.commit(self._reader, batch.offsets)
        self.rows += batch.rows
        self.flushes += 1
        self.last_flush_at = time.time()

    def _insert(self, key: InsertKey, rows: list[bytes]) -> None:
        shape = self._shapes[key.topic]
        state = self._free_states.pop()
        try:
            writer.insert(
                self._clickhouse,
                state,
                self._name,
                shape,
                b"\n".join(rows),
                lambda number: raw_table.stream_insert(shape, key.epoch, number, moved=key.moved),
                raw_table.STREAM_SETTINGS,
                patience=_PATIENCE,
            )
        finally:
            self._free_states.append(state)
