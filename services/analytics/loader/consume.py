"""The loader's loop: read, insert, and only then say to Kafka that it was read.

A process that dies in between reads the same records again; equal rows merge (`tables`). While ClickHouse is away the loop
waits and reads nothing, so memory is bounded by one batch and the client's own fetch queue.
"""

import logging
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from prometheus_client import Counter, Gauge

from services.analytics.clickhouse import connect
from services.analytics.loader import tables
from services.analytics.loader.rows import Letter, Place, Row, read
from services.analytics.recorder import SEARCHES, TOPIC, create_topics

GROUP = "clickstream-loader"
RECORDS_AT_ONCE = 100
"""At most 256 kB each, so a batch holds 25 MB."""
WAIT_S = 0.5
_PAUSE_S = 1.0

LOADED = Counter("millrace_clickstream_events", "Events inserted, those inserted again after a crash too.", ["topic"])
PARKED = Counter("millrace_clickstream_events_parked", "Events that could not be loaded and are kept apart.", ["topic"])
LAG = Gauge("millrace_clickstream_lag_records", "Records in Kafka that are not loaded yet.", ["topic"])
WAITING = Gauge("millrace_clickstream_waiting", "1 while the loader waits for Kafka or ClickHouse, else 0.")

log = logging.getLogger("services.analytics.loader")


class Loader:
    """One member of the loader's group, whose name is `member`; `run` ends after `stop`."""

    def __init__(self, bootstrap: str, clickhouse: tuple[str, str, str], member: str) -> None:
        self._bootstrap = bootstrap
        self._clickhouse = clickhouse
        self._member = member
        self._stopping = threading.Event()
        self.waits_for: str | None = "its start"

    def stop(self) -> None:
        """Make `run` end after the batch at hand."""
        self._stopping.set()

    def run(self) -> None:
        """Load until stopped. A fault of Kafka or ClickHouse is waited out; the batch at hand is read again."""
        while not self._stopping.is_set():
            try:
                self._session()
            except (KafkaException, ClickHouseError, OSError) as error:
                self._wait_for(str(error).splitlines()[0][:300])
                self._stopping.wait(_PAUSE_S)

    def _wait_for(self, what: str | None) -> None:
        if what is not None and self.waits_for != what:
            log.warning("waiting: %s", what)
        self.waits_for = what
        WAITING.set(what is not None)

    def _session(self) -> None:
        """Read from the committed offsets on, with connections of its own, until stopped or something fails."""
        create_topics(self._bootstrap)
        target = connect(*self._clickhouse)
        tables.create(target)
        reader = Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": GROUP,
                # a member that was killed and comes back goes on at once, without waiting until it is missed
                "group.instance.id": self._member,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "queued.max.messages.kbytes": 16 * 1024,
                "fetch.message.max.bytes": 1024 * 1024,
                "session.timeout.ms": 10_000,
                "partition.assignment.strategy": "cooperative-sticky",
            },
            logger=logging.getLogger("services.analytics.kafka"),
        )
        try:
            reader.subscribe([TOPIC, SEARCHES])
            while not self._stopping.is_set():
                messages = reader.consume(RECORDS_AT_ONCE, WAIT_S)
                if messages:
                    self._load(target, messages)
                    reader.commit(offsets=_after(messages), asynchronous=False)
                self._wait_for(None)
                _measure(reader)
        finally:
            reader.close()
            target.close()

    def _load(self, target: Client, messages: Sequence[Message]) -> None:
        rows: list[Row] = []
        letters: list[Letter] = []
        for message in messages:
            if (error := message.error()) is not None:
                raise KafkaException(error)
            for item in read(_place(message), message.value()):
                if isinstance(item, Row):
                    rows.append(item)
                else:
                    letters.append(item)
        refused = tables.insert(target, rows)
        tables.park(target, letters + refused)
        for row in rows:
            LOADED.labels(row.place.topic).inc()
        for letter in letters + refused:
            PARKED.labels(letter.place.topic).inc()
            log.error(
                "parked %s[%d]@%d: %s", letter.place.topic, letter.place.partition, letter.place.offset, letter.reason
            )


def _place(message: Message) -> Place:
    milliseconds = message.timestamp()[1]
    at = datetime.fromtimestamp((milliseconds if milliseconds > 0 else time.time() * 1000) / 1000, UTC)
    return Place(message.topic() or "", message.partition() or 0, message.offset() or 0, at)


def _after(messages: Sequence[Message]) -> list[TopicPartition]:
    """The offsets to go on from, one a partition."""
    last = {(message.topic() or "", message.partition() or 0): message.offset() or 0 for message in messages}
    return [TopicPartition(topic, partition, offset + 1) for (topic, partition), offset in last.items()]


def _measure(reader: Consumer) -> None:
    """Set the lag from what the client knows already; nothing is asked over the network."""
    lag: dict[str, int] = {}
    for assigned in reader.position(reader.assignment()):
        _, end = reader.get_watermark_offsets(assigned, cached=True)
        behind = end - assigned.offset if assigned.offset >= 0 and end >= 0 else 0
        lag[assigned.topic] = lag.get(assigned.topic, 0) + behind
    for topic, records in lag.items():
        LAG.labels(topic).set(records)
