"""Changes as they were consumed: what those share that are inserted together, and each of them where one is looked at alone."""

from collections.abc import Sequence
from typing import Any, NamedTuple, overload

import orjson
from confluent_kafka import Message

from cdc.version import Version, parse_sequence

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


class Row(NamedTuple):
    """One change: the message's key and value as they came (JSON), and where it lies."""

    key: bytes
    value: bytes
    partition: int
    offset: int

    def version(self, key: InsertKey) -> int:
        """The row version that the change carries, packed; parses the value."""
        return key.version(orjson.loads(self.value))


class Rows(Sequence[Row]):
    """Changes in their order, as consumed. A `Row` is made only of what is looked at one by one: nearly all are sent on
    as they came."""

    def __init__(self) -> None:
        self._messages: list[Message] = []

    def extend(self, messages: list[Message]) -> None:
        """Add messages that have a value."""
        self._messages += messages

    def body(self) -> bytes:
        """All values, one a line."""
        return b"\n".join([message.value() or b"" for message in self._messages])

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [_row(message) for message in self._messages[index]]
        return _row(self._messages[index])


def _row(message: Message) -> Row:
    return Row(message.key() or _NO_KEY, message.value() or b"", message.partition() or 0, message.offset() or 0)


def place_in_log(value: bytes) -> bytes:
    """What tells a change of an append-only table from every other, as JSON: its position, and its number among the rows there."""
    source = orjson.loads(value)["source"]
    return orjson.dumps({"lsn": source["lsn"], "number": int((*orjson.loads(source["sequence"]), 0)[2])})


class Truncate(NamedTuple):
    """A TRUNCATE of a topic's table: everything below ``version`` is dead."""

    topic: str
    version: int
