"""One owner for each root: of several members of the sink's group, the one that reads the root's partition of ``roots.<source>``.

The rows of one document lie in partitions of many topics, and so with several members. Each finds out which roots its events
concern, writes those that it owns itself, and hands the others to their owners through that topic; offsets are committed when
both are done. A member alone owns all and hands over nothing. While partitions move two members may write one root for a moment:
the documents' versions make that harmless.
"""

from collections.abc import Collection
from zlib import crc32

import orjson
from confluent_kafka import KafkaError, Producer

from cdc.documents.reading import Key
from cdc.errors import TransientError
from cdc.kafka import Kafka

_TIMEOUT = 30.0


def roots_topic(source: str) -> str:
    """The topic by which members hand over roots of the source's documents."""
    return f"roots.{source}"


class Owners:
    """What this member owns of one source's roots. ``mine`` is set by who knows the assignment, before each flush."""

    def __init__(self, bootstrap: str, source: str, partitions: int, retention_hours: int) -> None:
        self.topic = roots_topic(source)
        kafka = Kafka(bootstrap)
        try:
            kafka.create_topics([self.topic], partitions, retention_hours)
            self._partitions = kafka.topics().get(self.topic, partitions)
        finally:
            kafka.close()
        self._producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 2, "log_level": 3})
        self.mine: frozenset[int] = frozenset()
        self.handed_over = 0
        self._refused: str | None = None

    def keep(self, index: str, keys: Collection[Key]) -> set[Key]:
        """Those of the roots that are this member's; the others are on their way to their owners (`wait`)."""
        if len(self.mine) == self._partitions:
            return set(keys)
        kept = set()
        for key in keys:
            value = orjson.dumps((index, *key))
            if (partition := crc32(value) % self._partitions) in self.mine:
                kept.add(key)
                continue
            while not self._handed(partition, value):
                self._producer.poll(0.1)
            self.handed_over += 1
        return kept

    def wait(self) -> None:
        """Return when all that was handed over is the broker's.

        Raises:
            TransientError: the broker refuses some, or not within 30 seconds.
        """
        left = self._producer.flush(_TIMEOUT)
        if left or self._refused:
            reason = self._refused or f"{left} are left after {_TIMEOUT:g} s"
            raise TransientError(f"Kafka did not take all roots for {self.topic}: {reason}")

    def _handed(self, partition: int, value: bytes) -> bool:
        try:
            self._producer.produce(self.topic, value, partition=partition, on_delivery=self._told)
        except BufferError:
            return False
        self._producer.poll(0)
        return True

    def _told(self, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self._refused = error.str()


def handed_root(value: bytes) -> tuple[str, Key]:
    """The index name and the key of a root that another member has handed over."""
    index, *key = orjson.loads(value)
    return str(index), tuple(key)
