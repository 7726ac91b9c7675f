"""What the buttons do. Each action has connections of its own and is over when it returns; each is logged."""

import logging
from contextlib import closing

import psycopg

from cdc import clickhouse, dead_letters
from cdc import state as engine_state
from cdc.errors import TransientError
from cdc.settings import CdcSettings
from cdc.sinks.clickhouse.replay import replay

log = logging.getLogger("millrace.page")


class Actions:
    """Replays and drops dead letters, as `millrace cdc deadletters` does; each says what came of it."""

    def __init__(self, config: CdcSettings) -> None:
        self._config = config

    def replay(self, numbers: list[int] | None) -> str:
        """Write these dead letters again, all open ones for None.

        Raises:
            TransientError: a server is away; what was not replayed stays parked.
        """
        try:
            with engine_state.connect(self._config.millrace_state_dsn) as state:
                letters = dead_letters.listed(state, ids=numbers)
                target = clickhouse.engine_client(self._config)
                with closing(target):
                    done = replay(state, target, self._config.millrace_state_dsn, letters)
        except psycopg.OperationalError as error:
            raise _away(error) from error
        log.info("the page replayed %d of %d dead letters", done, len(letters))
        if not letters:
            return "It is not parked any more: there was nothing to replay."
        if done == len(letters):
            return f"Replayed {done} of {len(letters)}."
        return f"Replayed {done} of {len(letters)}. The others were refused again; their reasons are the new ones."

    def drop(self, number: int) -> str:
        """Give one up.

        Raises:
            TransientError: the state database is away.
        """
        try:
            with engine_state.connect(self._config.millrace_state_dsn) as state:
                done = dead_letters.resolve(state, [number], "dropped")
        except psycopg.OperationalError as error:
            raise _away(error) from error
        log.info("the page dropped dead letter %d: %s", number, "done" if done else "it was not open")
        if not done:
            return "It is not parked any more: there was nothing to drop."
        return f"Dropped number {number}. The copy keeps what it has until the row changes again or is repaired."


def _away(error: psycopg.OperationalError) -> TransientError:
    return TransientError(f"a database does not answer: {' '.join(str(error).split())}")
