"""Events to Kafka: one record a request, so that a batch is there whole or not at all.

An answer is given when the broker has acknowledged the record. What waits for that is bounded, in number and in time;
beyond it the caller is told to come again. A record whose acknowledgement was lost may be there all the same: a sender who
repeats the request with the same `event_id`s is still counted once.
"""

import asyncio
import logging
import threading
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from services.kit.problem import Unavailable

TOPIC = "events.clickstream"
SEARCHES = "events.search"
PARTITIONS = 4

_WAITING_RECORDS = 200
_WAITING_KBYTES = 32 * 1024
_DELIVERY_MS = 5000
_logger = logging.getLogger("services.analytics.kafka")


class EventsUnavailable(Unavailable):
    slug = "events-not-taken"


def create_topics(bootstrap: str) -> None:
    """Make the topics of events where they are missing. Raises KafkaException when Kafka does not answer."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "socket.timeout.ms": 3000}, logger=_logger)
    wanted = [NewTopic(name, num_partitions=PARTITIONS, replication_factor=1) for name in (TOPIC, SEARCHES)]
    for made in admin.create_topics(wanted, request_timeout=2).values():
        try:
            made.result(timeout=5)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


class Recorder:
    """A producer of one topic, for one event loop. `topic` must exist, or be made later: until then nothing is taken."""

    def __init__(
        self,
        bootstrap: str,
        topic: str = TOPIC,
        *,
        waiting_records: int = _WAITING_RECORDS,
        delivery_ms: int = _DELIVERY_MS,
    ) -> None:
        self._topic = topic
        self._bootstrap = bootstrap
        self._topics_made = False
        self._stopping = threading.Event()
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "acks": "all",
                "enable.idempotence": True,
                "linger.ms": 5,
                "compression.type": "lz4",
                "message.max.bytes": 4 * 1024 * 1024,
                "queue.buffering.max.messages": waiting_records,
                "queue.buffering.max.kbytes": _WAITING_KBYTES,
                "delivery.timeout.ms": delivery_ms,
                "socket.timeout.ms": 4000,
            },
            logger=_logger,
        )
        self._poller = threading.Thread(target=self._poll, name="kafka-acknowledgements", daemon=True)

    async def __aenter__(self) -> Self:
        self._poller.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._producer.flush, 5.0)
        self._stopping.set()
        await asyncio.to_thread(self._poller.join)

    def _poll(self) -> None:
        while not self._stopping.is_set():
            self._producer.poll(0.2)

    async def answers(self) -> None:
        """Return when the broker answers and the topic is there; raise KafkaException when not."""
        if not self._topics_made:
            await asyncio.to_thread(create_topics, self._bootstrap)
            self._topics_made = True
        await asyncio.to_thread(self._producer.list_topics, self._topic, 2.0)

    async def record(self, key: bytes, value: bytes) -> None:
        """Return when the broker has the record.

        Raises:
            EventsUnavailable: too many records wait already, or the broker did not acknowledge in time.
        """
        loop = asyncio.get_running_loop()
        acknowledged: asyncio.Future[None] = loop.create_future()

        def settle(error: KafkaError | None) -> None:
            if acknowledged.done():
                return
            if error is None:
                acknowledged.set_result(None)
            else:
                acknowledged.set_exception(EventsUnavailable("the events could not be recorded; send them again"))

        def delivered(error: KafkaError | None, _: Any) -> None:
            if error is not None:
                _logger.warning("a batch of events was not acknowledged: %s", error.str())
            loop.call_soon_threadsafe(settle, error)

        try:
            self._producer.produce(self._topic, value, key, on_delivery=delivered)
        except BufferError as error:
            raise EventsUnavailable("too many events wait to be recorded; send these again later") from error
        await acknowledged
