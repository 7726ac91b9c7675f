"""The loop of invalidation: for every change of a table that a source file names, the keys of both images of its row.

Offsets are committed after Redis has answered, so a change is told at least once; telling twice does no harm. Where changes are
missing all keys of the table's prefix go: a lost position, another epoch, or another life of Redis, which may have lost what it
had been told last. A TRUNCATE has no images, and does the same.
"""

import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

import psycopg
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from cdc import metrics, state, waits
from cdc.connect.connector import EPOCH_HEADER, PLACEHOLDER
from cdc.documents.affected import Change, decode
from cdc.documents.writer import with_patience
from cdc.errors import CdcError, DataError, LostOffsetError, TransientError
from cdc.invalidation.order import Orders
from cdc.invalidation.target import CacheTarget
from cdc.key_template import Template
from cdc.settings import CdcSettings
from cdc.sinks import positions
from cdc.sinks.looking import Looking
from cdc.source_file import SourceFile
from cdc.state import CapturedTable, SourceState

TARGET = "cache"
MOST_EVENTS = 5000
IDLE = 0.25
LINGER = 0.005
PATIENCE = 60.0

log = logging.getLogger("millrace.invalidation")


@dataclass
class Source:
    """One source with templates by topic, and what was found out about it since the last telling."""

    file: SourceFile
    known: SourceState
    orders: Orders
    templates: dict[str, Template]
    keys: set[str] = field(default_factory=set)
    sweeps: set[str] = field(default_factory=set)
    transactions: set[int] = field(default_factory=set)

    def add(self, change: Change) -> None:
        """Take note of a change. A transaction of an older epoch is not waited for: its line of the log is no more."""
        template = self.templates[change.topic]
        if change.operation == "t":
            self.sweeps.add(template.prefix)
        self.keys.update(template.keys((change.before, change.after), PLACEHOLDER))
        if change.epoch == self.known.epoch and change.transaction:
            self.transactions.add(change.transaction)

    def tell(self, target: CacheTarget) -> None:
        """Have the keys dropped, below the order of a snapshot that shows the changes."""
        if not self.keys and not self.sweeps:
            return
        floor = self.orders.after(self.transactions)
        for prefix in sorted(self.sweeps):
            log.info("%s: %d keys of %s dropped", self.file.source, target.sweep(prefix, floor), prefix)
            metrics.SWEEPS.labels(self.file.source).inc()
        target.invalidate(sorted(self.keys), floor)
        metrics.INVALIDATED.labels(self.file.source).inc(len(self.keys))
        self.keys, self.sweeps, self.transactions = set(), set(), set()


class Invalidation:
    """One member of the group, by this name. `run` returns after `stop`, with what is in hand told."""

    def __init__(self, consumer: Consumer, target: CacheTarget, config: CdcSettings, name: str) -> None:
        self._name, self._consumer, self._target = name, consumer, target
        self._state = state.connect(config.millrace_state_dsn)
        self._applied: list[tuple[SourceFile, SourceState, dict[str, Template]]] = []
        self._topics: dict[str, Source] = {}
        self._sources: list[Source] = []
        self._offsets: dict[tuple[str, int], int] = {}
        self._failed: list[CdcError] = []
        self._stopping = threading.Event()
        self._assigned = False
        self.waits_for: str | None = None
        metrics.WAITING.labels(TARGET).set_function(lambda: self.waits_for is not None)

    @property
    def ready(self) -> bool:
        """Whether partitions are assigned, or no applied source invalidates anything."""
        return not self._topics or self._assigned

    def facts(self) -> dict[str, object]:
        """For the health answer."""
        return {"waits_for": self.waits_for, "tables": sorted(self._topics)}

    def stop(self) -> None:
        """Ask the loop to end after the changes in hand."""
        self._stopping.set()

    def run(self) -> None:
        """Read and tell until `stop`.

        Raises:
            CdcError: something that needs a person, or a part away for longer than the patience; nothing of it is committed.
        """
        looking = Looking()
        waits.end(self._state, self._name)
        try:
            while not self._stopping.is_set():
                if looking.due(self._state):
                    self._follow_sources()
                    with_patience(self._see_line, PATIENCE, self._stopping, self._say)
                messages = self._consume()
                self._assigned = bool(self._consumer.assignment())
                if self._failed:
                    raise self._failed[0]
                for message in messages:
                    self._take(message)
                if self._offsets:
                    with_patience(self._tell, PATIENCE, self._stopping, self._say)
        except TransientError:
            if not self._stopping.is_set():
                raise
        finally:
            for source in self._sources:
                source.orders.close()
            self._state.close()

    def _follow_sources(self) -> None:
        try:
            captured = state.captured_tables(self._state)
            applied = [
                (file, known, _templates(file, captured))
                for file, known in state.applied_sources(self._state)
                if file.invalidate
            ]
        except psycopg.OperationalError as error:
            raise TransientError(f"the engine's state cannot be read: {' '.join(str(error).split())}") from error
        if applied == self._applied:
            return
        for source in self._sources:
            source.orders.close()
        self._applied, self._sources, self._topics = applied, [], {}
        for file, known, templates in applied:
            self._sources.append(source := Source(file, known, Orders(file, known), templates))
            self._topics |= dict.fromkeys(templates, source)
        log.info("invalidating by %d tables", len(self._topics))
        if self._topics:
            positions.subscribe(self._consumer, sorted(self._topics), lambda: None, self._failed, self._lost)
        else:
            self._consumer.unsubscribe()

    def _see_line(self) -> None:
        """Sweep where not all was told that should have been: Redis remembers what was followed, in which of its lives."""
        life = self._target.life()
        for source in self._sources:
            known, tables = source.known, " ".join(f"{t}={source.templates[t].text}" for t in sorted(source.templates))
            line = f"{life} {known.system_identifier} {known.timeline} {known.epoch} {tables}"
            if self._target.remembered(source.file.source) != line:
                source.sweeps |= {template.prefix for template in source.templates.values()}
                source.tell(self._target)
                self._target.remember(source.file.source, line)

    def _lost(self, begin: TopicPartition) -> None:
        self._topics[begin.topic].sweeps.add(self._topics[begin.topic].templates[begin.topic].prefix)
        self._offsets[begin.topic, begin.partition] = begin.offset
        log.warning("%s/%d: changes are gone from Kafka", begin.topic, begin.partition)

    def _consume(self) -> Iterable[Message]:
        if not self._topics:
            self._stopping.wait(IDLE)  # there is no topic to wait on
            return []
        first = self._consumer.poll(IDLE)
        return [] if first is None else [m for m in (first, *self._consumer.consume(MOST_EVENTS, LINGER)) if _usable(m)]

    def _take(self, message: Message) -> None:
        topic, partition, offset, value = message.topic(), message.partition(), message.offset(), message.value()
        assert topic is not None and partition is not None and offset is not None
        source = self._topics.get(topic)
        if source is None:
            return
        if value is not None:
            try:
                source.add(decode(topic, value, int(dict(message.headers() or [])[EPOCH_HEADER] or b"")))
            except (KeyError, ValueError, TypeError) as error:
                where = f"{topic}/{partition} at {offset}"
                raise DataError(
                    f"{where}: not a change event of this engine ({type(error).__name__}: {error})"
                ) from error
        self._offsets[topic, partition] = offset + 1

    def _tell(self) -> None:
        for source in self._sources:
            source.tell(self._target)
        positions.commit(self._consumer, self._offsets)
        metrics.FLUSHES.labels(TARGET).inc()
        self._offsets = {}

    def _say(self, reason: str | None) -> None:
        """Let `status` say what we wait for."""
        if reason == self.waits_for is None:
            return
        self.waits_for = reason
        try:
            if reason:
                waits.begin(self._state, self._name, TARGET, reason)
            else:
                waits.end(self._state, self._name)
        except psycopg.OperationalError as error:
            log.warning("the engine's state cannot be told: %s", " ".join(str(error).split()))


def _templates(file: SourceFile, captured: Iterable[CapturedTable]) -> dict[str, Template]:
    """By topic, of those tables that are captured by now."""
    mine = {table.shape.qualified: table.shape for table in captured if table.shape.source == file.source}
    return {mine[table].topic: Template.parse(text) for table, text in file.invalidate.items() if table in mine}


def _usable(message: Message) -> bool:
    error = message.error()
    if error is None:
        return True
    if error.code() == KafkaError._AUTO_OFFSET_RESET:
        raise LostOffsetError(f"{error.str()}: changes are gone from Kafka; the next process drops their prefix")
    if error.fatal():
        raise TransientError(f"Kafka: {error.str()}")
    log.info("Kafka: %s", error.str())
    return False
