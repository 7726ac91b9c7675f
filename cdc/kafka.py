"""Kafka as the engine uses it: topics made by us, end offsets, what a consumer group has committed."""

from collections.abc import Iterable
from concurrent.futures import Future

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cdc.errors import TransientError


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
        """Create those of the topics that are not there; existing ones are left as they are."""
        there = self.topics()
        settings = {"retention.ms": str(retention_hours * 3_600_000), "compression.type": "producer"}
        missing = [NewTopic(name, partitions, 1, config=settings) for name in names if name not in there]
        if missing:
            self._wait(self._admin.create_topics(missing).values())

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

    def written_at(self, topic: str, partition: int, offset: int) -> float | None:
        """When the record at (or next after) an offset was written, in seconds since 1970; None when there is none."""
        try:
            self._reader.assign([TopicPartition(topic, partition, offset)])
            record = self._reader.poll(self._timeout)
            self._reader.unassign()
        except (KafkaException, TimeoutError) as error:
            raise self._unreachable(error) from error
        return None if record is None or record.error() is not None else record.timestamp()[1] / 1000

    def _wait(self, futures: Iterable["Future[None]"]) -> None:
        try:
            for future in futures:
                future.result(self._timeout)
        except (KafkaException, TimeoutError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: KafkaException | TimeoutError) -> TransientError:
        reason = error.args[0].str() if isinstance(error, KafkaException) else f"nothing within {self._timeout:g} s"
        return TransientError(f"Kafka at {self._bootstrap} does not answer: {reason}; is it up? `millrace status`")
