"""What benches ask of a topic: how much is in it, when it was written, and how fast it can be read at best."""

import time

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from cdc.kafka import Kafka
from cdc.settings import settings
from cdc.sinks import positions

_POLL = 0.05
_AT_ONCE = 2000
_IDLE = 10.0


def size(topic: str) -> int:
    """Records in the topic."""
    kafka = Kafka(settings().kafka_bootstrap)
    try:
        return sum(end - first for first, end in kafka.bounds(topic).values())
    finally:
        kafka.close()


def wait_for_size(topic: str, records: int, patience: float) -> None:
    """Return once so many records are in the topic; `TimeoutError` after ``patience`` seconds."""
    deadline = time.monotonic() + patience
    while (there := size(topic)) < records:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{there} of {records} records are in {topic} after {patience:g} s")
        time.sleep(_POLL)  # polls the broker: there is no notification


def wait_until_read(topic: str, patience: float, group: str = positions.CLICKHOUSE_GROUP) -> None:
    """Return once the group (by default the ClickHouse sinks') has committed the topic's end; `TimeoutError` after
    ``patience`` seconds."""
    kafka = Kafka(settings().kafka_bootstrap)
    deadline = time.monotonic() + patience
    try:
        ends = {(topic, partition): end for partition, (_, end) in kafka.bounds(topic).items() if end}
        while (left := _left(kafka.committed(group, [topic]), ends)) > 0:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{left} records of {topic} are not written after {patience:g} s")
            time.sleep(_POLL)  # polls the group's positions: there is no notification
    finally:
        kafka.close()


def _left(committed: dict[tuple[str, int], int], ends: dict[tuple[str, int], int]) -> int:
    return sum(end - committed.get(place, 0) for place, end in ends.items())


def read_all(topic: str, *, keep: bool = True, plain: bool = False) -> tuple[list[Message], float]:
    """Every record (where they are to be kept), and the rate of reading in records a second.

    Read with the sink's settings of its consumer, or with ``plain`` as librdkafka comes.
    """
    bootstrap, group = settings().kafka_bootstrap, "millrace-bench"
    reader = _plain(bootstrap, group) if plain else positions.consumer(bootstrap, group)
    total, messages = size(topic), list[Message]()
    try:
        partitions = Kafka(settings().kafka_bootstrap).bounds(topic)
        reader.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        got, read = [_first(reader)], 0
        began = idle = time.perf_counter()
        while True:
            read += len(got)
            if keep:
                messages += got
            if read >= total:
                break
            got = reader.consume(_AT_ONCE, 0.1)
            idle = time.perf_counter() if got else idle
            if time.perf_counter() - idle > _IDLE:
                raise TimeoutError(f"{read} of {total} records of {topic} came")
        return messages, total / (time.perf_counter() - began)
    finally:
        reader.close()


def _plain(bootstrap: str, group: str) -> Consumer:
    return Consumer({"bootstrap.servers": bootstrap, "group.id": group, "enable.auto.commit": False})


def _first(reader: Consumer) -> Message:
    message = reader.poll(_IDLE)
    if message is None:
        raise TimeoutError("nothing came from the topic")
    return message


def write_again(topic: str, messages: list[Message], times: int) -> None:
    """Put the same records into the topic again, so many times, in their partitions."""
    producer = Producer(
        {
            "bootstrap.servers": settings().kafka_bootstrap,
            "linger.ms": 20,
            "batch.size": 524_288,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 2_000_000,
        }
    )
    for _ in range(times):
        for message in messages:
            producer.produce(topic, message.value(), message.key(), message.partition() or 0, headers=message.headers())
        producer.flush(60)


def span(messages: list[Message]) -> tuple[float, float]:
    """When the first and the last of the records were written, in seconds since 1970."""
    times = [message.timestamp()[1] / 1000 for message in messages]
    return min(times), max(times)
