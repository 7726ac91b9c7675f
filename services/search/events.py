"""What is searched and what is chosen, told to the topic `events.search` for search analytics.

Telling never slows a search and never fails it: events wait in a bounded queue for a thread of the client library, and what
finds no room, or is not taken by Kafka in time, is counted as lost and forgotten. The topic's readers know each event by its
`event_id`, so one sent twice counts once.
"""

import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any, Literal, Protocol
from uuid import UUID

import orjson
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from prometheus_client import Counter
from pydantic import BaseModel

from services.kit.ids import uuid7

TOPIC = "events.search"
PARTITIONS = 4
RETENTION_HOURS = 168
QUEUED = 10_000
PATIENCE_S = 30
RETRY_S = 2.0

log = logging.getLogger("services.search.events")
EVENTS = Counter("millrace_search_events", "events of searches and clicks, by what became of them", ["outcome"])


class SearchEvent(BaseModel):
    """One message: a search as it was asked and answered, or the choice of one of its hits."""

    event_id: UUID
    type: Literal["search", "click"]
    at: datetime
    session: str | None
    user_id: UUID | None
    query: str | None
    filters: dict[str, Any]
    total: int | None
    query_id: UUID
    product_id: UUID | None = None
    position: int | None = None


class Told(Protocol):
    """Whoever takes events; `tell` returns at once and raises nothing."""

    def tell(self, event: SearchEvent) -> None: ...


def searched(
    query_id: UUID, session: str | None, user_id: UUID | None, query: str, filters: dict[str, Any], total: int
) -> SearchEvent:
    """The event of an answered search; `user_id` is whose token it came with."""
    return SearchEvent(
        event_id=uuid7(), type="search", at=_now(), session=session, user_id=user_id,
        query=query, filters=filters, total=total, query_id=query_id,
    )  # fmt: skip


def clicked(query_id: UUID, session: str | None, user_id: UUID | None, product_id: UUID, position: int) -> SearchEvent:
    """The event of a chosen hit; the search's own event has its words."""
    return SearchEvent(
        event_id=uuid7(), type="click", at=_now(), session=session, user_id=user_id,
        query=None, filters={}, total=None, query_id=query_id, product_id=product_id, position=position,
    )  # fmt: skip


def _now() -> datetime:
    return datetime.now(UTC)


def encoded(event: SearchEvent) -> bytes:
    """The message's value: JSON, the time as ISO 8601 in UTC with milliseconds."""
    at = event.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return orjson.dumps(event.model_dump() | {"at": at})


class Events:
    """The queue and its thread. `close` gives what waits a few seconds more."""

    def __init__(
        self, bootstrap: str, topic: str = TOPIC, queued: int = QUEUED, patience_s: float = PATIENCE_S
    ) -> None:
        self._topic = topic
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": "millrace-search",
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 50,
                "compression.type": "lz4",
                "queue.buffering.max.messages": queued,
                "delivery.timeout.ms": int(patience_s * 1000),
                "log_level": 2,
            },
            logger=log,
        )
        self._bootstrap = bootstrap
        self._ending = threading.Event()
        self._until = 0.0
        self._thread = threading.Thread(target=self._work, name="search-events", daemon=True)
        self._thread.start()

    def tell(self, event: SearchEvent) -> None:
        """Queue an event; returns at once."""
        try:
            self._producer.produce(
                self._topic, encoded(event), key=str(event.query_id).encode(), on_delivery=self._delivered
            )
        except (BufferError, KafkaException):
            EVENTS.labels("lost").inc()

    def close(self, seconds: float = 5.0) -> None:
        """End the thread; what Kafka has not taken by then is lost."""
        self._until = time.monotonic() + seconds
        self._ending.set()
        self._thread.join()
        left = self._producer.flush(seconds)
        if left:
            EVENTS.labels("lost").inc(left)
            log.warning("%d events of searches were not taken by Kafka and are lost", left)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        EVENTS.labels("sent" if error is None else "lost").inc()

    def _work(self) -> None:
        """Make the topic as soon as Kafka is there, and see what became of the events."""
        admin = AdminClient({"bootstrap.servers": self._bootstrap, "log_level": 2}, logger=log)
        there = False
        while not there and (not self._ending.is_set() or (len(self._producer) and time.monotonic() < self._until)):
            there = self._made(admin)
            self._producer.poll(0 if there else 0.5)
        while not self._ending.is_set():
            self._producer.poll(0.5)

    def _made(self, admin: AdminClient) -> bool:
        wanted = NewTopic(self._topic, PARTITIONS, 1, config={"retention.ms": str(RETENTION_HOURS * 3600 * 1000)})
        try:
            admin.create_topics([wanted], request_timeout=RETRY_S)[self._topic].result(RETRY_S)
        except KafkaException as error:
            return bool(error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS)
        except TimeoutError:
            return False
        return True
