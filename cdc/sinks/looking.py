"""When a sink looks again at what it follows: as soon as that has changed, and every so often in any case."""

import time
from typing import Any

import psycopg

from cdc import state as engine_state
from cdc.errors import TransientError

_ASK_EVERY = 0.25
_LOOK_EVERY = 2.0  # what other processes change without raising the revision: parked keys, indexes, failpoints


class Looking:
    """Says when to look, by the revision of the engine's state."""

    def __init__(self) -> None:
        self._looked = self._asked = float("-inf")
        self._revision = -1

    def due(self, state: psycopg.Connection[Any]) -> bool:
        """Whether to look now; the caller does.

        Raises:
            TransientError: the state does not answer.
        """
        now = time.monotonic()
        if now - self._asked < _ASK_EVERY:
            return False
        self._asked = now
        try:
            revision = engine_state.revision(state)
        except psycopg.OperationalError as error:
            raise TransientError(f"the engine's state cannot be read: {' '.join(str(error).split())}") from error
        if revision == self._revision and now - self._looked < _LOOK_EVERY:
            return False
        self._revision, self._looked = revision, now
        return True
