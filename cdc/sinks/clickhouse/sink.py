"""The loop of the ClickHouse sink: consume, flush, commit, and publish how far readers may read.

A flush takes what has arrived: a transaction's rows when idle, tens of thousands under load, within limits of rows, bytes and
time. While one batch is written the next is gathered. While ClickHouse is away the partitions are paused and the member stays in
its group: what waits is held by Kafka.
"""

import logging
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from itertools import chain

import psycopg
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, KafkaError, Message

from cdc import failpoints, metrics, shapes, waits
from cdc import state as engine_state
from cdc.catalog import Shape
from cdc.errors import CdcError, LostOffsetError
from cdc.sinks import positions
from cdc.sinks.clickhouse.flush import Flusher
from cdc.sinks.clickhouse.messages import Batch
from cdc.sinks.clickhouse.table_writer import TARGET, ShapeMoved, TableWriter, UnknownColumn
from cdc.sinks.clickhouse.watermark import Watermark
from cdc.sinks.clickhouse.writer import Waiting
from cdc.sinks.dead_letter_topic import DeadLetterTopic
from cdc.sinks.looking import Looking

log = logging.getLogger("millrace.clickhouse-sink")

_MOST_ROWS = 20_000
_MOST_BYTES = 8 << 20
_SLICE = 2_000  # messages taken from the consumer at once: by so much the limit of bytes can be passed
_LINGER = 0.004  # seconds: gathers the rows of one transaction; small against the path's other hops
_LOAD = 200  # messages within one linger: more than this is load, and waits for a larger batch
_LONGEST_GATHERING = 0.25
_IDLE = 0.25
_WHILE_WRITING = 0.005
# How often a shape that has moved may be found recorded already: another process may just have followed it
_IN_VAIN = 3


@dataclass(frozen=True)
class Flight:
    """A batch that is being written while the next one is gathered."""

    batch: Batch
    number: int
    ended: Future[None]
    began: float


class ClickHouseSink:
    """One member of the sinks' consumer group. `run` returns after `stop`, with everything in hand written.

    ``writer_name`` is the same in every life of this member and differs from the other members': by it a new life closes
    the batches that its last one left open.
    """

    def __init__(self, reader: Consumer, clickhouse: Client, state_dsn: str, bootstrap: str, writer_name: str) -> None:
        self._name = writer_name
        self._reader = reader
        self._clickhouse = clickhouse
        self._state = engine_state.connect(state_dsn)
        self._waiting = Waiting()
        self._tables = TableWriter(clickhouse, state_dsn, self._waiting)
        self._flusher = Flusher(
            engine_state.connect(state_dsn), self._tables, DeadLetterTopic(bootstrap, TARGET), writer_name
        )
        self._watermark = Watermark(self._state, clickhouse)
        self._shapes: dict[str, Shape] = {}
        self._sources: dict[str, int] = {}  # of each topic, the number of its source
        self._stale = False  # what the consumer knows of its topics is older than what Kafka says
        self._revision = -1
        self._background = ThreadPoolExecutor(1, thread_name_prefix="flush")
        self._flight: Flight | None = None
        self._left_over: list[Message] = []
        self._paused = False
        self._told = False  # the state holds that we wait
        self._failed: list[CdcError] = []
        self._stopping = False
        metrics.WAITING.labels(TARGET).set_function(lambda: self.waits_for is not None)
        self._assigned = False  # asked of the consumer by its own thread only: it answers others between its polls
        self.rows = 0
        self.flushes = 0
        self.last_flush_at: float | None = None

    @property
    def ready(self) -> bool:
        """Whether partitions are assigned (or nothing is captured yet)."""
        return not self._shapes or self._assigned

    @property
    def waits_for(self) -> str | None:
        """What keeps the flush in hand from ending; None when nothing does."""
        return self._waiting.reason

    def stop(self) -> None:
        """Ask the loop to end after the flush in hand; a wait for a target that is away is given up."""
        self._stopping = True
        self._waiting.stop.set()

    def run(self) -> None:
        """Read and write until `stop`.

        Raises:
            CdcError: something that needs a person; offsets of what was not written are not committed.
        """
        engine_state.close_abandoned(self._state, self._name)
        waits.end(self._state, self._name)
        looking = Looking()
        try:
            while not self._stopping:
                if looking.due(self._state):
                    self._finish()  # what a flush parks must not be lost from what is learned now
                    self._follow_tables()
                self._watermark.publish()
                self._turn()
            self._finish()
        except CdcError:
            if not self._stopping:  # when stopped nobody waits for what is away: the next process reads it again
                raise
        finally:
            self._background.shutdown()
            self._flusher.close()
            self._tables.close()

    def _turn(self) -> None:
        if not self._shapes:
            time.sleep(_IDLE)  # nothing is captured: there is no topic to wait on
            return
        first = self._left_over or self._some(1, _IDLE if self._flight is None else _WHILE_WRITING)
        self._left_over = []
        if not first:
            if self._flight is not None and self._flight.ended.done():
                self._finish()
            return
        opened = self._flusher.open_batch()
        batch = self._gather(first)
        if batch.missing:
            self._judge_missing(batch)
        self._finish()
        number, revision = opened.result()
        if revision != self._revision:
            self._follow_again(batch)
        batch.keep(self._shapes)
        failpoints.hit("sink.consumed")
        ended = self._background.submit(self._flusher.flush, batch, number, self._shapes)
        self._flight = Flight(batch, number, ended, time.monotonic())

    def _finish(self) -> None:
        """Wait until the flush in flight has ended, and commit its offsets."""
        flight, self._flight = self._flight, None
        if flight is None:
            return
        while not wait_for([flight.ended], timeout=1.0).done:
            self._stay_in_group()
            self._tell()
        try:
            flight.ended.result()
        except ShapeMoved as error:
            self._flush_after_following(flight, error)
        if self._paused:
            self._reader.resume(self._reader.assignment())
            self._paused = False
        if self._told:
            waits.end(self._state, self._name)
            self._told = False
        failpoints.hit("sink.closed")
        positions.commit(self._reader, flight.batch.offsets)
        failpoints.hit("sink.committed")
        self._count(flight.batch, time.monotonic() - flight.began)
        self.rows += flight.batch.count
        self.flushes += 1
        self.last_flush_at = time.time()

    def _flush_after_following(self, flight: Flight, moved: ShapeMoved) -> None:
        """Follow the source's shapes, then flush again: a table was not as its recorded shape says."""
        leave_out, in_vain = False, 0
        while True:
            if not shapes.follow(moved.shape.source, self._state, self._clickhouse):
                in_vain += 1
                if isinstance(moved, UnknownColumn):
                    # A column that came and went again before this was read: the source has no such values any more.
                    engine_state.ask_to_mend(self._state, moved.shape, "a column came and went")
                    leave_out = True
            self._follow_again(flight.batch)
            try:
                self._flusher.flush(flight.batch, flight.number, self._shapes, leave_out_unknown=leave_out)
                return
            except ShapeMoved as error:
                if in_vain > _IN_VAIN:
                    raise
                moved = error

    def _count(self, batch: Batch, seconds: float) -> None:
        metrics.FLUSHES.labels(TARGET).inc()
        metrics.FLUSH_ROWS.labels(TARGET).observe(batch.count)
        metrics.FLUSH_SECONDS.labels(TARGET).observe(seconds)
        metrics.CHANGE_BYTES.labels(TARGET).inc(batch.bytes)
        for key, rows in chain(batch.rows.items(), batch.absent.items()):
            metrics.CHANGES.labels(TARGET, key.topic).inc(len(rows))
        for key, rows in batch.absent.items():
            metrics.READ_AGAIN.labels(key.topic).inc(len(rows))

    def _gather(self, first: list[Message]) -> Batch:
        batch = Batch()
        batch.add_all(first)
        until = time.monotonic() + _LONGEST_GATHERING
        more = self._some(_SLICE, _LINGER)
        batch.add_all(more)
        while (
            len(more) >= _LOAD and batch.count < _MOST_ROWS and batch.bytes < _MOST_BYTES and time.monotonic() < until
        ):
            more = self._some(_SLICE, _LINGER)
            batch.add_all(more)
        return batch

    def _some(self, most: int, timeout: float) -> list[Message]:
        messages = self._reader.consume(most, timeout)
        self._assigned = bool(self._reader.assignment())
        if self._failed:
            raise self._failed[0]
        return messages

    def _stay_in_group(self) -> None:
        """Called while a flush waits: take no more, but answer the group. What comes nevertheless is kept for the next turn."""
        self._paused = True
        self._reader.pause(self._reader.assignment())
        self._left_over += self._reader.consume(_SLICE, 0)

    def _tell(self) -> None:
        """Let `status` say what we wait for. Without the state it cannot, and the flush in hand goes on all the same."""
        if reason := self.waits_for:
            try:
                waits.begin(self._state, self._name, TARGET, reason)
                self._told = True
            except psycopg.OperationalError as error:
                log.warning("the engine's state cannot be told: %s", " ".join(str(error).split()))

    def _follow_tables(self) -> None:
        self._revision = engine_state.revision(self._state)  # before the tables: they are not older
        tables = [t for t in engine_state.captured_tables(self._state) if TARGET in t.targets and t.parked is None]
        followed = {table.shape.topic: table.shape for table in tables}
        sources = {table.shape.topic: table.source_number for table in tables}
        anew = {topic for topic, number in sources.items() if self._sources.get(topic, number) != number}
        if followed.keys() != self._shapes.keys() or anew or self._stale:
            log.info("reading %d tables", len(followed))
            if followed:
                positions.subscribe(self._reader, sorted(followed), lambda: None, self._failed, anew=anew)
            else:
                self._reader.unsubscribe()
            # what is in hand of a former topic must not come into the new one's table
            self._left_over = [message for message in self._left_over if message.topic() not in anew]
        self._shapes, self._sources, self._stale = followed, sources, False
        self._flusher.refresh()
        failpoints.arm(self._state)

    def _follow_again(self, batch: Batch) -> None:
        """Follow the tables while a batch is in hand, which forgets what is of tables, or of former topics, that are followed no more."""
        before = self._sources
        self._follow_tables()
        batch.keep({topic for topic, number in self._sources.items() if number == before.get(topic)})

    def _judge_missing(self, batch: Batch) -> None:
        """A topic may go with its source, and may be made again before we hear of either; a captured table's may not go."""
        self._finish()
        self._follow_again(batch)
        there = positions.topics(self._reader)
        self._follow_again(batch)  # whatever is still followed was so while Kafka was asked
        for topic, error in batch.missing.items():
            if topic not in there:
                raise LostOffsetError(
                    f"topic {topic} is gone while its table is captured; take the source out and apply it anew"
                )
            if error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise LostOffsetError(f"{topic}: {error.str()}; `millrace cdc repair` the table")
            self._stale = True
