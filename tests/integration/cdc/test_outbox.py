"""A service's events: what a transaction tells reaches every inbox once, though the connector dies and records come twice."""

import asyncio
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from uuid import UUID

import orjson
import psycopg
import pytest
from confluent_kafka import Message

from bench.source import ThrowAwaySource
from bench.topics import read_all, wait_for_size, write_again
from cdc.errors import TransientError
from cdc.kafka import Kafka
from cdc.settings import settings
from services.kit import inbox, outbox
from services.kit.db import Primary
from stack.settings import ROOT
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, until

INBOX = (ROOT / "services/kit/migrations/0002_inbox.sql").read_text()
TABLES = f"""
CREATE SCHEMA service;
{INBOX}
CREATE TABLE public.orders (id int PRIMARY KEY, note text);
CREATE TABLE public.effects (consumer text, event_id uuid, PRIMARY KEY (consumer, event_id));
"""
KEYS = [str(uuid.uuid4()) for _ in range(3)]


@pytest.fixture
def aggregate(engine: None) -> Iterator[str]:
    """A kind of thing of the test's own; its topic can be asked from the beginning, and is removed."""
    name = f"test{uuid.uuid4().hex[:12]}"
    with closing(Kafka(settings().kafka_bootstrap)) as kafka:
        kafka.create_topics([f"events.{name}"], 4, 1)
        until(lambda: can_be_asked(kafka, f"events.{name}"))
        yield name
        kafka.delete_topics([f"events.{name}"])


def can_be_asked(kafka: Kafka, topic: str) -> bool:
    """Whether the broker leads the topic's partitions yet: it answers the making of a topic before."""
    try:
        return len(kafka.bounds(topic)) == 4
    except TransientError:
        return False


async def tell(source: ThrowAwaySource, aggregate: str, numbers: range) -> list[UUID]:
    """An order and its event in one transaction for each number; for each a second one that is rolled back."""
    told = []
    async with Primary(source.dsn, "test") as primary:
        for number in numbers:
            async with primary.transaction() as transaction:
                await transaction.execute("INSERT INTO orders (id) VALUES (%s)", [number])
                data = {"number": number, "total": "12.50", "names": ["Müller"], "none": None}
                told.append(await outbox.publish(transaction, aggregate, KEYS[number % 3], "placed", data))
            with pytest.raises(psycopg.errors.UniqueViolation):
                await tell_in_vain(primary, aggregate, number)
    return told


async def tell_in_vain(primary: Primary, aggregate: str, number: int) -> None:
    """An event whose transaction cannot be committed."""
    async with primary.transaction() as transaction:
        await outbox.publish(transaction, aggregate, KEYS[0], "placed", {"number": -1})
        await transaction.execute("INSERT INTO orders (id) VALUES (%s)", [number])


async def take_in(source: ThrowAwaySource, messages: list[Message]) -> None:
    """Two consumers read every record, and each does something that must not be done twice."""
    async with Primary(source.dsn, "test") as primary:
        for message in messages:
            event_id = UUID(dict(message.headers() or [])["id"].decode())  # type: ignore[union-attr]
            for consumer in ("mail", "stock"):
                async with primary.transaction() as transaction:
                    if await inbox.first_time(transaction, consumer, event_id):
                        await transaction.execute("INSERT INTO effects VALUES (%s, %s)", [consumer, event_id])


def test_an_event_reaches_each_inbox_once_with_its_key_its_headers_and_its_order(
    make_source: MakeSource, aggregate: str, stack: Stack
) -> None:
    source = make_source(TABLES, rest=f"outbox: {outbox.PREFIX}")
    source.apply()
    with psycopg.connect(source.dsn, autocommit=True) as connection:  # what is no event stops no other
        for text in ("{", '{"id": 1}', "[]"):
            connection.execute("SELECT pg_logical_emit_message(true, %s, %s)", [outbox.PREFIX, text])
    topic = f"events.{aggregate}"
    told = asyncio.run(tell(source, aggregate, range(20)))
    wait_for_size(topic, 1, 30)
    stack.kill("connect")
    told += asyncio.run(tell(source, aggregate, range(20, 40)))
    stack.wait_until_healthy()
    wait_for_size(topic, 40, 60)
    messages, _ = read_all(topic)
    as_told(messages, told)
    write_again(topic, messages, 1)
    again, _ = read_all(topic)
    asyncio.run(take_in(source, again))
    with psycopg.connect(source.dsn) as connection:
        taken = Counter(connection.execute("SELECT consumer, event_id FROM effects").fetchall())
    assert taken == Counter((consumer, event_id) for consumer in ("mail", "stock") for event_id in told)


def as_told(messages: list[Message], told: list[UUID]) -> None:
    """See that each event came, as it was told, and for each key in the order of their commits; some may have come twice."""
    by_key: dict[str, list[int]] = {}
    for message in messages:
        event, headers = orjson.loads(message.value() or b""), dict(message.headers() or [])
        number = event["data"]["number"]
        assert event["data"] == {"number": number, "total": "12.50", "names": ["Müller"], "none": None}
        assert orjson.loads(message.key() or b"") == event["key"] == KEYS[number % 3]
        assert headers["id"] == event["id"].encode() == str(told[number]).encode()
        assert headers["type"] == b"placed"
        came = by_key.setdefault(event["key"], [])
        if number not in came:
            came.append(number)
    assert sorted(by_key.values()) == [list(range(first, len(told), 3)) for first in range(3)]
