"""What three services tell of an order comes over Kafka whole, in order, in one trace, and once for each id to who keeps an
inbox, though the connector is killed in between."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from cdc.kafka import Kafka
from cdc.settings import settings
from cdc.sinks import positions
from services.kit import inbox
from services.kit.db import Primary
from services.kit.event_schemas import events
from tests.conftest import Stack
from tests.integration.cdc.conftest import until
from tests.integration.services.people import Person
from tests.integration.services.shop import Shop, new_order

TOPICS = ("events.orders", "events.payments", "events.reservations")
KINDS = {kind.type(): kind for name in ("orders", "payments", "products") for kind in events(name)}
Told = dict[str, list[tuple[str, dict[str, Any]]]]


@pytest.fixture
def reader(engine: None, shop: Shop, user: str, product: dict[str, Any]) -> Iterator[Consumer]:
    """Reads what is told from now on. Topics come to be with their first event."""
    assert shop.order(user, {product["id"]: 1}).status == 201
    bootstrap = settings().kafka_bootstrap
    with (
        closing(Kafka(bootstrap)) as kafka,
        closing(positions.consumer(bootstrap, "millrace-tests")) as consumer,
    ):
        until(lambda: all(topic in kafka.topics() for topic in TOPICS))
        ends = {topic: kafka.bounds(topic) for topic in TOPICS}
        consumer.assign(
            [TopicPartition(topic, each, end) for topic in TOPICS for each, (_, end) in ends[topic].items()]
        )
        yield consumer


class Inbox:
    """Takes what comes of two orders, each event once, whatever comes twice."""

    def __init__(self, reader: Consumer, dsn: str, orders: set[str]) -> None:
        self.told: Told = defaultdict(list)
        """(type, data) under order and topic."""
        self.traces: set[str] = set()
        self.values: list[bytes] = []
        self._reader, self._dsn, self._orders = reader, dsn, orders
        self._consumer = f"test-{uuid4()}"

    def take(self, expected: dict[str, list[str]], seconds: float) -> dict[str, list[str]]:
        """Take in until as much has come as is expected, or the time is over; the types under order and topic."""
        deadline = time.monotonic() + seconds
        while sum(map(len, self.told.values())) < sum(map(len, expected.values())) and time.monotonic() < deadline:
            if ours := [message for message in self._reader.consume(500, 0.2) if self._is_ours(message)]:
                asyncio.run(self._take(ours))
        return {place: [kind for kind, _ in told] for place, told in self.told.items()}

    def _is_ours(self, message: Message) -> bool:
        return orjson.loads(message.value() or b"")["data"]["order_id"] in self._orders

    async def _take(self, messages: list[Message]) -> None:
        async with Primary(self._dsn, "test") as primary:
            for message in messages:
                event, headers = orjson.loads(message.value() or b""), dict(message.headers() or [])
                assert orjson.loads(message.key() or b"") == event["key"]
                assert (headers["id"], headers["type"]) == (event["id"].encode(), event["type"].encode())
                KINDS[event["type"]].model_validate(event["data"])
                self.values.append(message.value() or b"")
                assert headers["traceparent"] == event["headers"]["traceparent"].encode()
                self.traces.add(event["headers"]["traceparent"].split("-")[1])
                for _ in range(2):  # whoever delivers at least once may deliver twice
                    async with primary.transaction() as transaction:
                        if await inbox.first_time(transaction, self._consumer, UUID(event["id"])):
                            place = f"{event['data']['order_id']} {message.topic()}"
                            self.told[place].append((event["type"], event["data"]))


@pytest.mark.parametrize(
    "killed", [False, pytest.param(True, marks=pytest.mark.long)], ids=["undisturbed", "connector killed"]
)
def test_the_events_of_a_whole_order_come_in_order_and_once(
    stack: Stack, shop: Shop, people: Callable[..., Person], reader: Consumer, product: dict[str, Any], killed: bool
) -> None:
    person, trace = people(), uuid4().hex
    headers = {"traceparent": f"00-{trace}-{'ab' * 8}-01"}
    body = new_order(person.id, {product["id"]: 2})
    placed = shop.call("orders", "POST", "/orders", json=body, headers=headers)
    assert placed.status_code == 201, placed.text
    order = placed.json()["id"]
    if killed:
        stack.kill("connect")
    assert shop.call("orders", "POST", f"/orders/{order}/cancel", headers=headers).status_code == 200
    refused = shop.call(
        "orders", "POST", "/orders", json=body | {"payment": {"method": "card", "token": "tok_declined"}}
    )
    failed = refused.json()["order_id"]
    taken = Inbox(reader, shop.env["ORDERS_DSN"], {order, failed})
    expected = {
        f"{order} events.orders": ["OrderPlaced.v1", "OrderConfirmed.v1", "OrderCancelled.v1"],
        f"{order} events.payments": ["PaymentAuthorised.v1", "PaymentCaptured.v1", "PaymentRefunded.v1"],
        f"{order} events.reservations": ["ReservationHeld.v1", "ReservationCommitted.v1", "ReservationReleased.v1"],
        f"{failed} events.orders": ["OrderPlaced.v1", "OrderFailed.v1"],
        f"{failed} events.payments": ["PaymentDeclined.v1"],
        f"{failed} events.reservations": ["ReservationHeld.v1", "ReservationReleased.v1"],
    }
    stack.wait_until_healthy(180)
    assert taken.take(expected, 60) == expected
    confirmed = dict(taken.told[f"{order} events.orders"])["OrderConfirmed.v1"]
    assert (confirmed["total"], confirmed["lines"][0]["quantity"]) == ("29.90", 2)
    assert trace in taken.traces and len(taken.traces) == 2
    assert not any(personal in value for value in taken.values for personal in (person.email.encode(), b"Quartermain"))
