"""Watches how much log each source's slot keeps: warns, then warns louder, then gives the slot up where its source file says so.

A slot that nobody reads fills the source's disk, and the shop stands still. Where the file has a ``slot_limit`` the keeper drops the
slot beyond it, also when Kafka Connect does not answer, and raises the epoch: as soon as the connector can run again it reads from
then on, and every copy is compared and mended. Without one the slot is left to the server (``max_slot_wal_keep_size``).
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg

from cdc import metrics, source_database
from cdc import state as engine_state
from cdc.keeper.watch import Watch
from cdc.settings import CdcSettings
from cdc.slots import Slot, budget, drop_slot, find_slot
from cdc.source_file import SourceFile
from cdc.status import size_in_words
from cdc.status.wrong import ACT_ON_SLOT, LOOK_AT_SLOT

_EVERY = 4.0

log = logging.getLogger("millrace.keeper")


class Slots(Watch):
    """Looks at the slots of all sources every four seconds, in a thread of its own: mending may take an hour. Each stage of a slot is
    said once when it is reached."""

    def __init__(self, config: CdcSettings, ended: Callable[[], None]) -> None:
        super().__init__("slots", _EVERY, ended)
        self._config = config
        self._stages: dict[str, float] = {}

    def turn(self) -> None:
        """Look at every slot."""
        self.attempt("slots", self._watch_all)

    def _watch_all(self) -> None:
        with engine_state.connect(self._config.millrace_state_dsn) as state:
            sources = engine_state.applied_sources(state)
            self.forget_others({file.source for file, _ in sources})
            for file, _ in sources:
                self.attempt(f"slot of {file.source}", partial(self.watch, file, state))

    def watch(self, file: SourceFile, state: psycopg.Connection[Any]) -> None:
        """Look at one slot, and do what its size asks for.

        Raises:
            CdcError: the source does not answer, or somebody reads the slot still.
        """
        with source_database.connect(file) as source:
            slot = None if source_database.in_recovery(source) else find_slot(source, file.slot)
            if slot is None or slot.lost:
                return
            limits = [limit for limit in (file.slot_limit_bytes, budget(source)) if limit is not None]
            self._say(file, slot, min(limits, default=None))
            if file.slot_limit_bytes is not None and slot.retained > file.slot_limit_bytes:
                _give_up(file, slot, source, state)

    def _say(self, file: SourceFile, slot: Slot, most: int | None) -> None:
        used = slot.retained / most if most else 0.0
        stage = max((each for each in (LOOK_AT_SLOT, ACT_ON_SLOT) if used >= each), default=0.0)
        if stage > self._stages.get(file.source, 0.0):
            level = logging.ERROR if stage >= ACT_ON_SLOT else logging.WARNING
            held = f"its slot {file.slot} holds {size_in_words(slot.retained)} of log, {used:.0%} of what it may"
            log.log(level, "source %s: %s; `millrace cdc status` says who does not read it", file.source, held)
        self._stages[file.source] = stage


def _give_up(file: SourceFile, slot: Slot, source: psycopg.Connection[Any], state: psycopg.Connection[Any]) -> None:
    """Drop the slot, with the wish for a new epoch written down first."""
    with engine_state.line_of(state, file.source):
        if engine_state.find_source(state, file.source) is None:
            return
        reason = (
            f"the slot {file.slot} held {size_in_words(slot.retained)} of log, more than `slot_limit: {file.slot_limit}` allows, "
            "and was given up"
        )
        engine_state.begin_raise(state, file.source, reason)
        drop_slot(source, file, by_force=True)
        metrics.SLOTS_GIVEN_UP.labels(file.source).inc()
        log.error("source %s: %s; its copies are compared and mended once its connector runs", file.source, reason)
