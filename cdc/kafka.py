"""Kafka as the engine uses it: topics made by us, end offsets, what a consumer group has committed."""

from collections.abc import Iterable
from concurrent.futures import Future

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # it is documented there
from confluent_kafka.cimpl import NewTopic

from cdc.errors import TransientError


def retention(hours: int) -> dict[str, str]:
    """Settings of a topic whose records are gone after so many hours at the latest.

    Kafka drops whole segments by the age of their last record, so the first lives as much longer as a segment is filled: that is
    kept to a seventh, and taken off. What a reader can count on is six sevenths.
    """
    whole = hours * 3_600_000
    return {"retention.ms": str(whole - whole // 7), "segment.ms": str(whole // 7)}


class Kafka:
    """Questions to one cluster. Calls raise `TransientError` when no broker answers within the timeout (seconds)."""

    def __init__(self, bootstrap: str, timeout: float = 10) -> None:
        self._timeout = timeout
        self._bootstrap = bootstrap
        common: dict[str, str | int | float | bool] = {"bootstrap.servers": bootstrap, "log_level": 2}
        self._admin = AdminClient(common)
        self._reader = Consumer(common | {"group.id": "millrace-questions", "enable.auto.commit": False})

    def close(self) -> None:
        """End the connections."""
        self._reader.close()

    def topics(self) -> dict[str, int]:
        """Every topic with its number of partitions."""
        try:
            found = self._admin.list_topics(timeout=self._timeout).topics
        except (KafkaException, TimeoutError) as error:
            raise self._unreachable(error) from error
        return {name: len(topic.partitions) for name, topic in found.items()}

    def create_topics(self, names: Iterable[str], partitions: int, retention_hours: int) -> None:
        """Create those of the topics that are not there; existing ones are left as they are, also where another process makes them
        in this moment."""
        there = self.topics()
        settings = retention(retention_hours) | {"compression.type": "producer"}
        missing = [NewTopic(name, partitions, 1, config=settings) for name in names if name not in there]
        if missing:
            self._wait(self._admin.create_topics(missing).values(), KafkaError.TOPIC_ALREADY_EXISTS)

    def delete_topics(self, names: Iterable[str]) -> None:
        """Delete those of the topics that are there, with every group's offsets on them."""
        there = self.topics()
        if present := [name for name in names if name in there]:
            self._wait(self._admin.delete_topics(present).values())

    def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """For each partition its first and its end offset, asked of the broker now."""
        try:
            return {
                partition: self._reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=self._timeout)
                for partition in range(self.topics().get(topic, 0))
            }
        except (KafkaException, TimeoutError) as error:
            raise self._unreachable(error) from error

    def bounds_of(self, topics: Iterable[str]) -> dict[str, dict[int, tuple[int, int]]]:
        """What `bounds` gives, for many topics in three questions to the broker."""
        there = self.topics()
        wanted = [TopicPartition(topic, number) for topic in topics for number in range(there.get(topic, 0))]
        found: dict[str, dict[int, tuple[int, int]]] = {partition.topic: {} for partition in wanted}
        if not wanted:
            return found
        try:
            first, end = (
                self._admin.list_offsets(dict.fromkeys(wanted, of), request_timeout=self._timeout)
                for of in (OffsetSpec.earliest(), OffsetSpec.latest())  # type: ignore[no-untyped-call]
            )
            for partition in wanted:
                begin, beyond = first[partition].result(self._timeout), end[partition].result(self._timeout)
                found[partition.topic][partition.partition] = (begin.offset, beyond.offset)
        except (KafkaException, TimeoutError) as error:
            raise self._unreachable(error) from error
        return found

    def committed(self, group: str, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """The group's committed offset for each partition of the topics that it has committed."""
        partitions = self.topics()
        wanted = [TopicPartition(topic, number) for topic in topics for number in range(partitions.get(topic, 0))]
        if not wanted:
            return {}
        try:
            [future] = self._admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)]).values()
            answer = future.result(self._timeout)
        except (KafkaException, TimeoutError) as error:
            raise self._unreachable(error) from error
        return {(p.topic, p.partition): p.offset for p in answer.topic_partitions if p.offset >= 0}

    def members(self, group: str, topic: str) -> int:
        """How many members of the group read some of the topic's partitions now."""
        try:
            [future] = self._admin.describe_consumer_groups([group], request_timeout=self._timeout).values()
            found = future.result(self._timeout)
        except (KafkaException, TimeoutError) as error:
            raise self._unreachable(error) from error
        return sum(any(p.topic == topic for p in m.assignment.topic_partitions) for m in found.members)

    def members_of(self, groups: Iterable[str]) -> dict[str, int]:
        """How many processes each consumer group has; one that was killed counts until its session has run out."""
        try:
            futures = self._admin.describe_consumer_groups(list(groups), request_timeout=self._timeout)
            return {group: len(future.result(self._timeout).members) for group, future in futures.items()}
        except (KafkaException, TimeoutError) as error:
            raise self._unreachable(error) from error

    def record_at(self, topic: str, partition: int, offset: int) -> tuple[float, int] | None:
        """When the record at (or next after) an offset was written, in seconds since 1970, and its bytes; None: there is none."""
        try:
            self._reader.assign([TopicPartition(topic, partition, offset)])
            record = self._reader.poll(self._timeout)
            self._reader.unassign()
        except (KafkaException, TimeoutError) as error:
            raise self._unreachable(error) from error
        if record is None or record.error() is not None:
            return None
        return record.timestamp()[1] / 1000, len(record.key() or b"") + len(record.value() or b"")

    def _wait(self, futures: Iterable["Future[None]"], harmless: int | None = None) -> None:
        """Return when all have ended; ``harmless`` is the code of an error that does none."""
        for future in futures:
            try:
                future.result(self._timeout)
            except (KafkaException, TimeoutError) as error:
                if not (isinstance(error, KafkaException) and error.args[0].code() == harmless):
                    raise self._unreachable(error) from error

    def _unreachable(self, error: KafkaException | TimeoutError) -> TransientError:
        reason = error.args[0].str() if isinstance(error, KafkaException) else f"nothing within {self._timeout:g} s"
        return TransientError(f"Kafka at {self._bootstrap} does not answer: {reason}; is it up? `millrace status`")
