"""Events of searches and clicks on a real topic, and a search whose Kafka is away or too slow."""

import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from services.kit.ids import uuid7
from services.search.events import EVENTS, Events, clicked, searched

AWAY = "127.0.0.1:1"  # nothing listens there


def counted(outcome: str) -> float:
    return float(EVENTS.labels(outcome)._value.get())


@pytest.fixture
def topic(stack: Any) -> Iterator[str]:
    """A name of this test's own; the topic is removed afterwards."""
    name = f"events.test-{uuid4().hex[:8]}"
    yield name
    admin = AdminClient({"bootstrap.servers": stack.env["KAFKA_BOOTSTRAP"]})
    admin.delete_topics([name])[name].result(30)


def test_events_arrive_in_the_agreed_form(stack: Any, topic: str) -> None:
    query_id, product, user = uuid7(), uuid4(), uuid4()
    events = Events(stack.env["KAFKA_BOOTSTRAP"], topic)
    events.tell(searched(query_id, "s-1", user, "Café", {"brand": "Løper"}, 3))
    events.tell(clicked(query_id, None, user, product, 2))
    events.close(30)
    consumer = Consumer(
        {"bootstrap.servers": stack.env["KAFKA_BOOTSTRAP"], "group.id": topic, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    values: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(values) < 2 and time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            assert message.key() == str(query_id).encode()
            values.append(message.value() or b"")
    consumer.close()
    search, click = sorted((orjson.loads(value) for value in values), key=lambda event: str(event["event_id"]))
    assert UUID(search.pop("event_id")).version == UUID(click.pop("event_id")).version == 7
    assert search.pop("at").endswith("Z") and len(click.pop("at")) == len("2026-01-01T00:00:00.000Z")
    common = {"query_id": str(query_id), "user_id": str(user)}
    assert search == common | {
        "type": "search", "session": "s-1", "query": "Café", "filters": {"brand": "Løper"}, "total": 3,
        "product_id": None, "position": None,
    }  # fmt: skip
    assert click == common | {
        "type": "click", "session": None, "query": None, "filters": {}, "total": None,
        "product_id": str(product), "position": 2,
    }  # fmt: skip


def test_without_kafka_events_are_counted_as_lost_and_nothing_fails() -> None:
    before = counted("lost")
    events = Events(AWAY, queued=10)
    for _ in range(30):
        events.tell(searched(uuid7(), None, None, "lamp", {}, 0))
    events.close(0.1)
    assert counted("lost") - before == 30
