"""A source that is taken out and captured again: its topics are others then, under the same names."""

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer

from cdc.connect.client import ConnectClient
from cdc.errors import CdcError
from cdc.kafka import Kafka
from cdc.settings import settings
from cdc.sinks import positions
from cdc.verify import verify_tables
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, run
from tests.integration.cdc.waiting import eventually

TOPIC = f"made-again-{uuid4().hex[:8]}"


def test_a_sink_that_saw_neither_reads_the_new_topic_from_its_beginning(make_source: MakeSource, stack: Stack) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text)")
    source.apply()
    run(source, "INSERT INTO t SELECT n, 'first' FROM generate_series(1, 100) n")
    assert verify_tables([source.name])[0].equal
    pid = stack.pid("clickhouse-sink")
    with stack.frozen("clickhouse-sink"):
        source.release()
        run(source, "DELETE FROM t WHERE id % 2 = 0")
        source.apply()
        # its positions in the former topic lie within the new one: whoever goes on from them leaves changes out
        run(source, "INSERT INTO t SELECT n, 'second' FROM generate_series(1001, 4000) n")
    assert verify_tables([source.name])[0].equal
    assert stack.pid("clickhouse-sink") == pid


def test_a_stopped_connector_goes_on_by_the_configuration_that_it_is_given(
    make_source: MakeSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A raise of the epoch that could not end has left it so. While Connect takes the configuration it does not say that it is stopped;
    whoever asked once then waited for it in vain."""
    source = make_source("CREATE TABLE t (id int PRIMARY KEY)")
    source.apply()
    monkeypatch.setattr("cdc.connect.apply._CONNECTOR_PATIENCE", 20.0)
    with closing(ConnectClient(settings().connect_url)) as connect:
        for milliseconds in range(60, 68):
            connect.stop(source.name)
            monkeypatch.setenv("CDC_POLL_MILLISECONDS", str(milliseconds))
            settings.cache_clear()
            source.apply()
            assert (connect.config(source.name) or {})["poll.interval.ms"] == str(milliseconds)
    run(source, "INSERT INTO t VALUES (1)")
    assert verify_tables([source.name])[0].equal


@pytest.fixture
def kafka(engine: None) -> Iterator[Kafka]:
    kafka = Kafka(settings().kafka_bootstrap)
    kafka.create_topics([TOPIC], 1, 1)
    yield kafka
    kafka.delete_topics([TOPIC])
    kafka.close()


def test_a_position_that_is_the_former_topics_is_not_gone_on_from(kafka: Kafka) -> None:
    """A batch of the former topic was still being written while the new one was made, and its offsets were committed."""
    reader = positions.consumer(settings().kafka_bootstrap, TOPIC)
    failed: list[CdcError] = []
    try:
        write(5)
        positions.subscribe(reader, [TOPIC], lambda: None, failed)
        assert read(reader, 5) == [0, 1, 2, 3, 4]
        kafka.delete_topics([TOPIC])
        eventually(lambda: TOPIC not in positions.topics(reader), "the topic is gone")
        kafka.create_topics([TOPIC], 1, 1)
        write(8)
        positions.commit(reader, {(TOPIC, 0): 5}, wait=True)
        positions.subscribe(reader, [TOPIC], lambda: None, failed, anew=[TOPIC])
        assert read(reader, 8) == [0, 1, 2, 3, 4, 5, 6, 7]
        assert failed == []
    finally:
        reader.close()


def write(count: int) -> None:
    """Put so many records into the topic."""
    producer = Producer({"bootstrap.servers": settings().kafka_bootstrap})
    for number in range(count):
        producer.produce(TOPIC, str(number).encode())
    assert producer.flush(10) == 0


def read(reader: Consumer, count: int) -> list[int]:
    """The offsets of the records that come, once they are so many; what the consumer says of the former topic is passed over."""
    found: list[int] = []

    def enough() -> bool:
        found.extend(m.offset() or 0 for m in reader.consume(100, 0.1) if m.error() is None)
        return len(found) >= count

    eventually(enough, f"{count} records come")
    return found
