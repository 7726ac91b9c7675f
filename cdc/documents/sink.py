"""The loop of the document sink: consume, flush, commit; and follow the source files.

Offsets are committed only after every document concerned was acknowledged, parked, or handed to the member that owns it. Several
members of the group may run: `cdc.documents.owners` says who writes what; versions keep documents right whoever does.
"""

import logging
import time
from collections.abc import Iterable

import psycopg
from confluent_kafka import Consumer, KafkaError, Message
from elasticsearch import Elasticsearch

from cdc import failpoints, metrics, source_database, state, waits
from cdc.connect.connector import EPOCH_HEADER
from cdc.documents import index
from cdc.documents.affected import Change, decode
from cdc.documents.flush import Flusher
from cdc.documents.letters import TARGET, DocumentLetters
from cdc.documents.owners import Owners
from cdc.documents.resolve import load_trees
from cdc.documents.trees import Tree
from cdc.errors import CdcError, DataError, LostOffsetError, TransientError
from cdc.settings import CdcSettings
from cdc.sinks import positions
from cdc.sinks.looking import Looking
from cdc.source_file import SourceFile

log = logging.getLogger("millrace.documents")

MOST_EVENTS = 5000
# Events of a backlog that one flush may take: many changes of one document then write it once.
MOST_GATHERED = 50_000
# Seconds in which events gather after the first: at most some 20 flushes, each with a commit in the source, a second;
# small against the refresh interval that decides when a document is found.
LINGER = 0.04
IDLE = 0.25


class DocumentSink:
    """One member of the group, by this name. `run` returns after `stop`, with the flush in hand finished."""

    def __init__(
        self, consumer: Consumer, client: Elasticsearch, config: CdcSettings, name: str = "document-sink"
    ) -> None:
        self._name = name
        self.consumer = consumer
        self._client = client
        self._config = config
        self._state = state.connect(config.millrace_state_dsn)
        self._sources: list[tuple[SourceFile, state.SourceState]] = []
        self._by_source: list[Flusher] = []
        self._flushers: dict[str, Flusher] = {}  # by topic
        self._failed: list[CdcError] = []
        self._stopping = False
        self._assigned = False  # asked of the consumer by its own thread only: it answers others between its polls
        self.waiting_for: list[str] = []
        self.events = self._flushed = 0
        self.flushes = 0
        self.flush_seconds = 0.0
        self.last_flush_at: float | None = None
        self.lag = 0
        metrics.WAITING.labels(TARGET).set_function(lambda: self.waits_for is not None)

    @property
    def waits_for(self) -> str | None:
        """What keeps the flush in hand from ending; None when nothing does."""
        return next((why for flusher in list(self._by_source) if (why := flusher.writer.waits_for)), None)

    @property
    def ready(self) -> bool:
        """Whether partitions are assigned (or no source with documents was applied yet)."""
        return not self.waiting_for and (not self._flushers or self._assigned)

    def stop(self) -> None:
        """Ask the loop to end after the flush in hand."""
        self._stopping = True
        for flusher in list(self._by_source):
            flusher.writer.stopping.set()

    def facts(self) -> dict[str, object]:
        """Counters for the health answer; documents as counted by Elasticsearch's acknowledgements, lag in events."""
        totals = [flusher.writer.totals for flusher in list(self._by_source)]
        return {
            "waiting_for_index": self.waiting_for,
            "waits_for": self.waits_for,
            "events": self.events,
            "flushes": self.flushes,
            "flush_seconds": round(self.flush_seconds, 3),
            "lag": self.lag,
            "seconds_since_flush": None if self.last_flush_at is None else round(time.time() - self.last_flush_at, 3),
            "indexed": sum(total.indexed for total in totals),
            "deleted": sum(total.deleted for total in totals),
            "superseded": sum(total.superseded for total in totals),
            "handed_over": sum(flusher.owners.handed_over for flusher in list(self._by_source)),
        }

    def run(self) -> None:
        """Read and write until `stop`.

        Raises:
            CdcError: something that needs a person, or a part away for longer than the patience; offsets of what was
                not written are not committed.
        """
        looking = Looking()
        waits.end(self._state, self._name)
        try:
            while not self._stopping:
                if looking.due(self._state):
                    self._follow_sources()
                    self._measure_lag()
                begun, offsets = time.monotonic(), self._gather()
                assignment = self.consumer.assignment()
                self._assigned = bool(assignment)
                if self._failed:
                    raise self._failed[0]
                if offsets:
                    for flusher in self._by_source:
                        places = [p.partition for p in assignment if p.topic == flusher.owners.topic]
                        flusher.owners.mine = frozenset(places)
                    self._flush(offsets, begun)
        except TransientError:
            if not self._stopping:  # when stopped nobody waits for what is away: the next process reads it again
                raise
        finally:
            for flusher in self._by_source:
                flusher.close()
            self._state.close()

    def _follow_sources(self) -> None:
        try:
            sources = [(file, known) for file, known in state.applied_sources(self._state) if file.documents]
        except psycopg.OperationalError as error:
            raise TransientError(f"the engine's state cannot be read: {' '.join(str(error).split())}") from error
        for flusher in self._by_source:
            flusher.letters.refresh()
        failpoints.arm(self._state)
        if sources == self._sources and not self.waiting_for:
            return
        trees = {file.source: self._trees(file) for file, _ in sources}
        # An index is made by `apply`, never here: made anew it would look complete while it is empty.
        lacking = {
            name: [tree.index for tree in each if not index.is_prepared(self._client, tree)]
            for name, each in trees.items()
        }
        self.waiting_for = [name for names in lacking.values() for name in names]
        sources = [(file, known) for file, known in sources if not lacking[file.source]]
        if sources == self._sources:
            return
        for flusher in self._by_source:
            flusher.close()
        self._by_source = [
            Flusher(file, known, trees[file.source], self._client, self._letters(file), self._owners(file))
            for file, known in sources
        ]
        for flusher in self._by_source:
            flusher.writer.tell = self._tell
        self._flushers = {topic: flusher for flusher in self._by_source for topic in flusher.topics}
        self._sources = sources
        log.info("writing documents from %d tables", len(self._flushers))
        if self._flushers:
            positions.subscribe(self.consumer, sorted(self._flushers), lambda: None, self._failed)
        else:
            self.consumer.unsubscribe()

    def _tell(self, reason: str | None) -> None:
        """Let `status` say what we wait for; called by the writers' threads. Without the state it cannot, and that is all."""
        try:
            if reason:
                waits.begin(self._state, self._name, TARGET, reason)
            else:
                waits.end(self._state, self._name)
        except psycopg.OperationalError as error:
            log.warning("the engine's state cannot be told: %s", " ".join(str(error).split()))

    def _measure_lag(self) -> None:
        """Events in the broker that were not taken yet, by what the consumer has last heard of it."""
        places = [place for place in self.consumer.position(self.consumer.assignment()) if place.offset >= 0]
        ends = [self.consumer.get_watermark_offsets(place, cached=True)[1] for place in places]
        self.lag = sum(max(0, end - place.offset) for place, end in zip(places, ends, strict=True))

    def _trees(self, file: SourceFile) -> tuple[Tree, ...]:
        with source_database.connect(file) as source:
            return load_trees(file, source)

    def _letters(self, file: SourceFile) -> DocumentLetters:
        return DocumentLetters(self._config.millrace_state_dsn, self._config.kafka_bootstrap, file.source)

    def _owners(self, file: SourceFile) -> Owners:
        config = self._config
        return Owners(
            config.kafka_bootstrap, file.source, config.cdc_topic_partitions, config.cdc_topic_retention_hours
        )

    def _gather(self) -> dict[tuple[str, int], int]:
        """Have the flushers note what is to be written next; the offsets (topic, partition) -> next one to read."""
        offsets: dict[tuple[str, int], int] = {}
        if not self._flushers:
            time.sleep(IDLE)  # nothing is captured: there is no topic to wait on
            return offsets
        first = self.consumer.poll(IDLE)
        if first is None:
            return offsets
        self._take([first], offsets)
        gathered, lot = 0, MOST_EVENTS
        while lot == MOST_EVENTS and gathered < MOST_GATHERED:
            messages = self.consumer.consume(MOST_EVENTS, LINGER)
            self._take(messages, offsets)
            lot = len(messages)
            gathered += lot
        return offsets

    def _take(self, messages: Iterable[Message], offsets: dict[tuple[str, int], int]) -> None:
        changes: dict[Flusher, list[Change]] = {}
        for message in messages:
            if not self._usable(message):
                continue
            topic, partition, offset = str(message.topic()), message.partition(), message.offset()
            assert partition is not None and offset is not None
            flusher = self._flushers[topic]
            if value := message.value():
                if topic == flusher.owners.topic:
                    flusher.take_handed(value)
                else:
                    changes.setdefault(flusher, []).append(_change(message, topic, value))
            offsets[topic, partition] = offset + 1
            self.events += 1
        for flusher, events in changes.items():
            flusher.take(events)

    def _usable(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return message.topic() in self._flushers
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise LostOffsetError(
                f"{error.str()}: changes are gone from Kafka; `millrace cdc backfill` writes all documents anew"
            )
        if error.fatal():
            raise TransientError(f"Kafka: {error.str()}")
        log.info("Kafka: %s", error.str())
        return False

    def _flush(self, offsets: dict[tuple[str, int], int], begun: float) -> None:
        events = self.events - self._flushed
        self._flushed = self.events
        failpoints.hit("documents.consumed")
        for flusher in self._by_source:
            flusher.flush()
        failpoints.hit("documents.written")
        positions.commit(self.consumer, offsets)
        failpoints.hit("documents.committed")
        metrics.FLUSHES.labels(TARGET).inc()
        metrics.FLUSH_ROWS.labels(TARGET).observe(events)
        metrics.FLUSH_SECONDS.labels(TARGET).observe(time.monotonic() - begun)
        self.flushes += 1
        self.flush_seconds += time.monotonic() - begun
        self.last_flush_at = time.time()


def _change(message: Message, topic: str, value: bytes) -> Change:
    headers = dict(message.headers() or [])
    try:
        return decode(topic, value, int(headers[EPOCH_HEADER] or b""))
    except (KeyError, ValueError, TypeError) as error:
        where = f"{topic}/{message.partition()} at {message.offset()}"
        raise DataError(f"{where}: not a change event of this engine ({type(error).__name__}: {error})") from error
