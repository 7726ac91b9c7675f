"""Documents that Elasticsearch refuses: parked, and resolved once a newer reading of the same document was taken."""

import logging
import threading
from collections.abc import Collection, Mapping

from cdc import dead_letters, metrics, state
from cdc.dead_letters import Refusal
from cdc.sinks.dead_letter_topic import DeadLetterTopic

log = logging.getLogger("millrace.documents")

TARGET = "elasticsearch"


class DocumentLetters:
    """The dead letters of one source's documents. For several threads."""

    def __init__(self, state_dsn: str, bootstrap: str, source: str) -> None:
        self._state = state.connect(state_dsn)
        self._topic = DeadLetterTopic(bootstrap, TARGET)
        self._source = source
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], set[str]] = {}
        self._revision = -1
        self.refresh()

    def close(self) -> None:
        """End the session."""
        self._state.close()

    def refresh(self) -> None:
        """Learn what others have parked and resolved."""
        with self._lock:
            self._refresh()

    def _refresh(self) -> None:
        self._revision = state.revision(self._state)  # before the rest: that is not older
        self._open = dead_letters.open_keys(self._state, TARGET)

    def park(self, index: str, version: int, refused: Mapping[str, tuple[str, str | None]]) -> None:
        """Keep refused documents: id -> (reason, body); durable on return.

        Raises:
            TransientError: Kafka did not take them.
        """
        refusals = [
            Refusal(
                target=TARGET,
                source=self._source,
                name=index,
                key=identifier,
                version=version,
                moved=False,
                body=body or "",
                reason=reason,
                place=index,
            )
            for identifier, (reason, body) in refused.items()
        ]
        with self._lock:
            dead_letters.park(self._state, refusals)
            # A reading holds all that an older one held: of one document only the newest refusal stays open.
            newest = [(refusal.key, version) for refusal in refusals]
            dead_letters.supersede(self._state, TARGET, self._source, index, newest)
            self._topic.publish(refusals)
            self._open.setdefault((self._source, index), set()).update(refused)
        for refusal in refusals[:10]:
            log.error("index %s: document %s is refused and parked: %s", index, refusal.key, refusal.reason)
        metrics.PARKED.labels(TARGET, index).inc(len(refusals))

    def written(self, index: str, version: int, identifiers: Collection[str]) -> None:
        """Resolve what is parked of documents that were taken at this version."""
        with self._lock:
            if state.revision(self._state) != self._revision:
                self._refresh()
            parked = self._open.get((self._source, index))
            if parked and (taken := parked.intersection(identifiers)):
                written = [(identifier, version) for identifier in taken]
                dead_letters.supersede(self._state, TARGET, self._source, index, written)
                parked -= taken

    def parked(self, index: str) -> set[str]:
        """Ids of the documents that are parked now."""
        return set(self._open.get((self._source, index), ()))
