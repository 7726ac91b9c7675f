"""What lies in a topic, for tests that look at the messages themselves."""

from collections.abc import Iterator

from confluent_kafka import Consumer, Message, TopicPartition

from cdc.kafka import Kafka
from cdc.settings import settings


def messages(topic: str) -> Iterator[Message]:
    """Every message of a topic, partition by partition as they come."""
    bootstrap = settings().kafka_bootstrap
    kafka = Kafka(bootstrap)
    ends = {partition: end for partition, (_, end) in kafka.bounds(topic).items()}
    kafka.close()
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": "tests", "enable.auto.commit": False})
    try:
        reader.assign([TopicPartition(topic, partition, 0) for partition in ends])
        for _ in range(sum(ends.values())):
            message = reader.poll(10)
            assert message is not None
            yield message
    finally:
        reader.close()
