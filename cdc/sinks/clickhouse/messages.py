"""Sorts consumed messages into inserts: one per table, epoch and kind, in the order of arrival.

Message bodies are not parsed; the few facts that the bytes path cannot carry are read from headers and from the tail of
the envelope.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from confluent_kafka import KafkaError, Message

from cdc.connect.connector import EPOCH_HEADER, OLD_KEY_HEADER, PLACEHOLDER
from cdc.errors import DataError, PermanentError, TransientError

_PLACEHOLDER = PLACEHOLDER.encode()
_OPERATION = b'"op":"'


class InsertKey(NamedTuple):
    """What all rows of one insert share; ``moved`` marks the insert halves of key changes."""

    topic: str
    epoch: int
    moved: bool


@dataclass
class Batch:
    """Messages that are written together: bodies by insert, and the offset to commit for each partition.

    ``gone`` names topics that Kafka no longer has.
    """

    bodies: dict[InsertKey, list[bytes]] = field(default_factory=dict)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    rows: int = 0
    bytes: int = 0

    def add_all(self, messages: Iterable[Message]) -> None:
        """Add consumed messages.

        Raises:
            DataError: a change that this sink cannot write; names table, key and remedy.
            PermanentError, TransientError: what the consumer reports instead of a message.
        """
        for message in messages:
            self._add(message)

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
        epoch, moved = _headers(message)
        tail = value.rfind(_OPERATION)
        if value[tail + len(_OPERATION) : tail + len(_OPERATION) + 1] == b"t":
            raise DataError(
                f"{topic}: the table was truncated at the source, which is not followed; copy it again with `millrace cdc resync`"
            )
        if _PLACEHOLDER in value:
            raise DataError(
                f"{topic}: an update of key {_text(message.key())} leaves out an unchanged large value; "
                f"give the table REPLICA IDENTITY FULL"
            )
        self.bodies.setdefault(InsertKey(topic, epoch, moved), []).append(value)
        self.rows += 1
        self.bytes += len(value)


def _headers(message: Message) -> tuple[int, bool]:
    epoch, moved = 0, False
    headers = message.headers() or []
    for header in headers:
        if header[0] == EPOCH_HEADER:
            epoch = int(header[1] or 0)
        elif header[0] == OLD_KEY_HEADER:
            moved = True
    if epoch == 0:
        raise DataError(
            f"{message.topic()}: a record without the header {EPOCH_HEADER}; only connectors made by `millrace cdc apply` may write here"
        )
    return epoch, moved


def _text(key: bytes | str | None) -> str:
    return key.decode(errors="replace") if isinstance(key, bytes) else str(key)
