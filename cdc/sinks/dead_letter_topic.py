"""The topic of a target's dead letters, for those who want to be told: what is parked in the engine's state is published here too.

The state is the authority; this topic holds a copy of each parked change under its key, with reason and place in headers.
"""

from collections.abc import Iterable

from confluent_kafka import Producer

from cdc.dead_letters import Refusal
from cdc.errors import TransientError
from cdc.kafka import Kafka

_TIMEOUT = 30.0
_RETENTION_HOURS = 7 * 24


class DeadLetterTopic:
    """``deadletters.<target>``, made at the first refusal."""

    def __init__(self, bootstrap: str, target: str) -> None:
        self._bootstrap = bootstrap
        self._name = f"deadletters.{target}"
        self._producer: Producer | None = None

    def publish(self, refusals: Iterable[Refusal]) -> None:
        """Publish parked changes; returns when the broker has them.

        Raises:
            TransientError: the broker did not take them in time.
        """
        producer = self._producer or self._open()
        for refusal in refusals:
            facts = {
                "source": refusal.source,
                "table": refusal.name,
                "reason": refusal.reason,
                "place": refusal.place,
                "version": str(refusal.version),
            }
            producer.produce(
                self._name,
                key=refusal.key.encode(),
                value=refusal.body.encode(),
                headers={name: value.encode() for name, value in facts.items()},
            )
            producer.poll(0)
        if left := producer.flush(_TIMEOUT):
            raise TransientError(f"Kafka did not take {left} dead letters within {_TIMEOUT:g} s")

    def _open(self) -> Producer:
        kafka = Kafka(self._bootstrap)
        try:
            kafka.create_topics([self._name], 1, _RETENTION_HOURS)
        finally:
            kafka.close()
        self._producer = Producer({"bootstrap.servers": self._bootstrap, "acks": "all", "log_level": 3})
        return self._producer
