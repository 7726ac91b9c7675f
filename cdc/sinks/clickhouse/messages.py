"""Sorts consumed messages into what is done with them: bulk inserts, rows to be read again, truncates.

Message bodies of ordinary changes are not parsed; the few facts that the bytes path cannot carry are read from headers and
from the tail of the envelope.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from confluent_kafka import KafkaError, Message

from cdc.connect.connector import EPOCH_HEADER, OLD_KEY_HEADER, PLACEHOLDER
from cdc.errors import DataError, PermanentError, TransientError
from cdc.version import Version, parse_sequence

_PLACEHOLDER = PLACEHOLDER.encode()
_OPERATION = b'"op":"'
_UNPLACED = b'"sequence":"[null'
_NO_KEY = b"{}"


class InsertKey(NamedTuple):
    """What all rows of one insert share; ``moved`` marks the insert halves of key changes."""

    topic: str
    epoch: int
    moved: bool

    def version(self, envelope: dict[str, Any]) -> int:
        """The version of one of these changes, from its envelope, packed."""
        source = envelope["source"]
        return Version(self.epoch, parse_sequence(source["sequence"]), int(source["lsn"]) + self.moved).pack()


_NO_INSERT = InsertKey("", 0, moved=False)


class Row(NamedTuple):
    """One change: the message's key and value as they came (JSON), and where it lies."""

    key: bytes
    value: bytes
    partition: int
    offset: int

    def version(self, key: InsertKey) -> int:
        """The row version that the change carries, packed; parses the value."""
        return key.version(orjson.loads(self.value))


def place_in_log(value: bytes) -> bytes:
    """What tells a change of an append-only table from every other, as JSON: its position, and its number among the rows there."""
    source = orjson.loads(value)["source"]
    return orjson.dumps({"lsn": source["lsn"], "number": int((*orjson.loads(source["sequence"]), 0)[2])})


class Truncate(NamedTuple):
    """A TRUNCATE of a topic's table: everything below ``version`` is dead."""

    topic: str
    version: int


@dataclass
class Batch:
    """Messages that are written together: rows by insert, and the offset to commit for each partition.

    ``absent`` holds updates that leave out an unchanged large value. ``unplaced`` names topics with changes of the first
    transaction that a connector without a stored position saw: their versions may be too low. ``gone`` names topics that Kafka
    no longer has.
    """

    rows: dict[InsertKey, list[Row]] = field(default_factory=dict)
    absent: dict[InsertKey, list[Row]] = field(default_factory=dict)
    truncates: list[Truncate] = field(default_factory=list)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    unplaced: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    count: int = 0
    bytes: int = 0
    _headers: Any = None
    _insert: InsertKey = _NO_INSERT

    def add_all(self, messages: Iterable[Message]) -> None:
        """Add consumed messages.

        Raises:
            DataError: a record that no connector of ours wrote.
            PermanentError, TransientError: what the consumer reports instead of a message.
        """
        add = self._add
        for message in messages:
            add(message)

    def keep(self, topics: Container[str]) -> None:
        """Forget what is of other topics, offsets included: their tables are not followed now."""
        self.rows = {key: rows for key, rows in self.rows.items() if key.topic in topics}
        self.absent = {key: rows for key, rows in self.absent.items() if key.topic in topics}
        self.unplaced = {topic for topic in self.unplaced if topic in topics}
        self.truncates = [truncate for truncate in self.truncates if truncate.topic in topics]
        self.offsets = {place: offset for place, offset in self.offsets.items() if place[0] in topics}

    def _add(self, message: Message) -> None:
        error = message.error()
        if error is not None:
            if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                self.gone.add(message.topic() or "")
                return
            kind = TransientError if error.retriable() else PermanentError
            raise kind(f"Kafka: {error.str()}")
        topic, partition, offset, value = message.topic(), message.partition(), message.offset(), message.value()
        assert topic is not None and partition is not None and offset is not None
        self.offsets[topic, partition] = offset + 1
        if value is None:
            return
        self.count += 1
        self.bytes += len(value)
        insert = self._insert_key(topic, message)
        tail = value.rfind(_OPERATION) + len(_OPERATION)
        if value[tail : tail + 1] == b"t":
            self.truncates.append(Truncate(topic, insert.version(orjson.loads(value))))
            return
        row = Row(message.key() or _NO_KEY, value, partition, offset)
        if _UNPLACED in value:
            self.unplaced.add(topic)
        place = self.absent if _PLACEHOLDER in value else self.rows
        place.setdefault(insert, []).append(row)

    def _insert_key(self, topic: str, message: Message) -> InsertKey:
        """What the message shares with others; nearly every one has the headers of the one before it."""
        headers = message.headers() or []
        if headers != self._headers or topic != self._insert.topic:
            self._headers, self._insert = headers, _read_headers(topic, headers)
        return self._insert


def _read_headers(topic: str, headers: Any) -> InsertKey:
    epoch, moved = 0, False
    for header in headers:
        name, value = header[0], header[1]
        if name == EPOCH_HEADER:
            epoch = int(value or 0)
        elif name == OLD_KEY_HEADER:
            moved = True
    if epoch == 0:
        raise DataError(
            f"{topic}: a record without the header {EPOCH_HEADER}; only connectors made by `millrace cdc apply` may write here"
        )
    return InsertKey(topic, epoch, moved)
