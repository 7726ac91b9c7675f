"""One look at everything that the page shows. A part that is away takes nothing from what the others say."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from cdc import state as engine_state
from cdc.connect.client import ConnectClient
from cdc.errors import CdcError
from cdc.kafka import Kafka
from cdc.page import kept
from cdc.page.parts import Part, Parts
from cdc.page.way import Ages, Way, ways
from cdc.page.wrong import everything_wrong
from cdc.settings import CdcSettings
from cdc.sinks.positions import CLICKHOUSE_GROUP, DOCUMENTS_GROUP, INVALIDATION_GROUP
from cdc.status import Problem, Status, collect

GROUPS = {"clickhouse": CLICKHOUSE_GROUP, "elasticsearch": DOCUMENTS_GROUP, "cache": INVALIDATION_GROUP}
_SECONDS = 3.0
"""Longest wait for one answer of Kafka or Connect: the next look asks again."""


@dataclass(frozen=True)
class View:
    """What was seen at one moment (seconds since 1970). ``whole_at`` is when the look began that asked everything last: servers and
    processes are seen earlier than the rest, and ``status`` may be older still when it could not be had."""

    at: float
    whole_at: float
    status: Status | None
    ways: tuple[Way, ...]
    parts: tuple[Part, ...]
    members: dict[str, int]
    """Processes that read for each target."""
    letters: tuple[kept.Letter, ...]
    letters_open: int
    proofs: tuple[kept.Proof, ...]
    wrong: tuple[Problem, ...] = ()


class Eyes:
    """Looks again and again over the same connections; makes those anew that were lost."""

    def __init__(self, config: CdcSettings) -> None:
        self._config = config
        self._parts = Parts(config)
        self._kafka = Kafka(config.kafka_bootstrap, _SECONDS)
        self._connect = ConnectClient(config.connect_url, _SECONDS)
        self._state: psycopg.Connection[Any] | None = None
        self._last = View(0.0, 0.0, None, (), (), {}, (), 0, ())
        self._ages = Ages()

    def close(self) -> None:
        """End the connections."""
        self._parts.close()
        self._kafka.close()
        self._connect.close()
        if self._state is not None:
            self._state.close()

    def look(self) -> Iterator[View]:
        """Ask everything once: gives what the servers and processes answered, and then all of it.

        What could not be asked is shown as it was seen last, with the reason as a problem.
        """
        began, faults = time.time(), list[str]()
        seen = replace(self._last, at=began, parts=self._parts.ask())
        yield self._judged(seen, faults)  # the rest may take long where one of them hangs
        try:
            state = self._connected()
            seen = replace(
                seen,
                letters=tuple(kept.letters(state)),
                letters_open=kept.count_letters(state),
                proofs=tuple(kept.proofs(state)),
            )
            status = collect(self._config, state, self._kafka, self._connect)
            seen = replace(seen, status=status, ways=ways(status, self._ages))
            members = self._kafka.members_of(GROUPS.values())
            seen = replace(seen, members={target: members[group] for target, group in GROUPS.items()})
        except psycopg.OperationalError as error:
            faults.append(f"the engine's state database does not answer: {' '.join(str(error).split())}")
            self._forget_state()
        except CdcError as error:
            faults.append(str(error))
        self._last = self._judged(replace(seen, whole_at=began), faults)
        yield self._last

    def _judged(self, seen: View, faults: list[str]) -> View:
        return replace(seen, wrong=tuple(everything_wrong(seen.status, seen.parts, seen.members, faults)))

    def _connected(self) -> psycopg.Connection[Any]:
        if self._state is None or self._state.closed:
            self._state = engine_state.connect(self._config.millrace_state_dsn)
        return self._state

    def _forget_state(self) -> None:
        if self._state is not None:
            self._state.close()
        self._state = None
