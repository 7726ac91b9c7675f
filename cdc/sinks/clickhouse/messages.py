"""Sorts consumed messages into what is done with them: bulk inserts, rows to be read again, truncates.

Message bodies of ordinary changes are not parsed; the few facts that the bytes path cannot carry are read from headers and
from the tail of the envelope.
"""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
from confluent_kafka import KafkaError, Message

from cdc.connect.connector import EPOCH_HEADER, OLD_KEY_HEADER, PLACEHOLDER
from cdc.errors import DataError, PermanentError, TransientError
from cdc.sinks.clickhouse.changes import InsertKey, Rows, Truncate

_PLACEHOLDER = PLACEHOLDER.encode()
_OPERATION = b'"op":"'
_TRUNCATE = b'"op":"t"'
_DELETE = b'"op":"d"'
_UNPLACED = b'"sequence":"[null'
_NO_INSERT = InsertKey("", 0, moved=False)
# What a consumer says of a topic that has gone, or was made again under its name.
_MISSING = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.UNKNOWN_TOPIC_ID, KafkaError._AUTO_OFFSET_RESET}


@dataclass
class Batch:
    """Messages that are written together: rows by insert, and the offset to commit for each partition.

    ``absent`` holds updates that leave out an unchanged large value. ``unplaced`` names topics with changes of the first
    transaction that a connector without a stored position saw: their versions may be too low. ``missing`` names topics that
    the consumer does not find, or has no such position in, with what it says.
    """

    rows: dict[InsertKey, Rows] = field(default_factory=dict)
    absent: dict[InsertKey, Rows] = field(default_factory=dict)
    truncates: list[Truncate] = field(default_factory=list)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    unplaced: set[str] = field(default_factory=set)
    missing: dict[str, KafkaError] = field(default_factory=dict)
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
        groups: dict[InsertKey, list[Message]] = {}
        last: dict[tuple[Any, Any], Message] = {}
        group: list[Message] = []
        for message in messages:  # the only loop over every change: what can be asked of many at once is asked below
            headers, topic = message.headers(), message.topic()
            if headers != self._headers or topic != self._insert.topic or not group:
                if message.error() is not None:
                    self._report(message)
                    continue
                self._headers, self._insert = headers, _read_headers(topic or "", headers or [])
                group = groups.setdefault(self._insert, [])
            group.append(message)
            last[topic, message.partition()] = message
        for place, message in last.items():
            self.offsets[place] = (message.offset() or 0) + 1
        for insert, some in groups.items():
            self._add_group(insert, some)

    def keep(self, topics: Container[str]) -> None:
        """Forget what is of other topics, offsets included: their tables are not followed now."""
        self.rows = {key: rows for key, rows in self.rows.items() if key.topic in topics}
        self.absent = {key: rows for key, rows in self.absent.items() if key.topic in topics}
        self.unplaced = {topic for topic in self.unplaced if topic in topics}
        self.missing = {topic: error for topic, error in self.missing.items() if topic in topics}
        self.truncates = [truncate for truncate in self.truncates if truncate.topic in topics]
        self.offsets = {place: offset for place, offset in self.offsets.items() if place[0] in topics}

    def _report(self, message: Message) -> None:
        error = message.error()
        assert error is not None
        if error.code() in _MISSING:
            self.missing[message.topic() or ""] = error
            return
        kind = TransientError if error.retriable() else PermanentError
        raise kind(f"Kafka: {error.str()}")

    def _add_group(self, insert: InsertKey, messages: list[Message]) -> None:
        messages = [message for message in messages if message.value() is not None]
        text = b"\n".join([message.value() or b"" for message in messages])
        self.count += len(messages)
        self.bytes += len(text)
        if _UNPLACED in text:
            self.unplaced.add(insert.topic)
        if _TRUNCATE in text:  # or a column that reads like it
            truncates, messages = _split(messages, _is_truncate)
            for message in truncates:
                self.truncates.append(Truncate(insert.topic, insert.version(orjson.loads(message.value() or b""))))
        if _PLACEHOLDER in text:
            absent, messages = _split(messages, _leaves_out)
            if absent:
                self.absent.setdefault(insert, Rows()).extend(absent)
        if messages:
            self.rows.setdefault(insert, Rows()).extend(messages)


def _split(messages: list[Message], chosen: Callable[[bytes], bool]) -> tuple[list[Message], list[Message]]:
    """The messages whose value is chosen, and the others."""
    marks = [chosen(message.value() or b"") for message in messages]
    return [m for m, mark in zip(messages, marks, strict=True) if mark], [
        m for m, mark in zip(messages, marks, strict=True) if not mark
    ]


def _leaves_out(value: bytes) -> bool:
    """Whether a value of the row is not there. Of a delete's old image only the key is used."""
    return _PLACEHOLDER in value and not value.startswith(_DELETE, value.rfind(_OPERATION))


def _is_truncate(value: bytes) -> bool:
    tail = value.rfind(_OPERATION)
    return value.startswith(_TRUNCATE, tail)


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
