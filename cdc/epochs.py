"""Raising a source's epoch: the log that is read from now on is another line than the one before.

After a restore, a failover that lost transactions, or a slot that was made anew, log positions step back or skip changes. A higher
epoch in a header of every record makes all that follows win over all that came before, wherever it still lies unread. What the
copies hold of the old line is then compared with the source and mended.

The steps are done in an order that can be repeated from the beginning: the state says that a raise is under way until the last one
is done.
"""

from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import failpoints, source_database
from cdc import state as engine_state
from cdc.connect.apply import apply_plan
from cdc.connect.client import ConnectClient
from cdc.connect.plan import make_plan
from cdc.errors import PermanentError
from cdc.kafka import Kafka
from cdc.line import Break, position_holds
from cdc.settings import CdcSettings
from cdc.slots import Slot, create_slot, drop_slot, find_slot
from cdc.source_file import SourceFile

HIGHEST = 255


def raise_epoch(
    file: SourceFile,
    why: Break,
    config: CdcSettings,
    state: psycopg.Connection[Any],
    kafka: Kafka,
    target: Client,
    say: Callable[[str], None],
) -> int:
    """Raise the epoch (or finish a raise that was begun), and ask for every copy to be mended; returns the new epoch.

    Args:
        file: the source, as it was applied.
        why: the reason, kept in the state until the raise is done, and with each table until it is mended; and what of the slot.
        config, state, kafka, target: the engine's parts.
        say: told each step.

    Raises:
        PermanentError: the highest epoch was used up, or the database is a standby.
        CdcError: a part did not answer; calling again goes on.
    """
    with engine_state.line_of(state, file.source):
        epoch = engine_state.begin_raise(state, file.source, why.reason, keep_slot=why.keep_slot)
        if epoch > HIGHEST:
            raise PermanentError(
                f"source {file.source}: all {HIGHEST} epochs are used; take the source out and apply it anew"
            )
        say(f"epoch {epoch}: {why.reason}")
        failpoints.hit("epoch.begun")
        _change_line(file, config, state)
        plan = make_plan(file, config, state, kafka, target)
        apply_plan(plan, config, state, kafka, target, say, lambda *_: None, leave_copies=True)
        engine_state.end_raise(state, file.source, why.reason)
        return epoch


def _change_line(file: SourceFile, config: CdcSettings, state: psycopg.Connection[Any]) -> None:
    """Leave no connector that reads by the old line's positions, and a slot on the new one."""
    known = engine_state.find_source(state, file.source)
    assert known is not None
    with closing(ConnectClient(config.connect_url)) as connect:
        if not known.keep_slot:
            connect.remove(file.source)  # with its offsets: they name positions of the old line
            failpoints.hit("epoch.connector-removed")
        with source_database.connect(file) as source:
            if source_database.in_recovery(source):
                raise PermanentError(
                    f"source {file.source}: the database is a standby; the epoch is raised on the primary only"
                )
            identity = source_database.identity(source)
            slot = find_slot(source, file.slot) if known.keep_slot else None
            if slot is not None and slot.lost is None:
                _go_on(file, known, identity[1], slot, connect)
            else:
                connect.remove(file.source)
                drop_slot(source, file)
                create_slot(source, file)
    failpoints.hit("epoch.slot-created")
    engine_state.change_line(state, file.source, identity)
    failpoints.hit("epoch.line-changed")


def _go_on(
    file: SourceFile, known: engine_state.SourceState, timeline: int, slot: Slot, connect: ConnectClient
) -> None:
    """Stop the connector, which is given its new epoch and address next; it begins again where nothing is left out."""
    if known.timeline == timeline or connect.config(file.source) is None:
        return  # it was done before, or there is none
    connect.stop(file.source)
    failpoints.hit("epoch.connector-stopped")
    stored = connect.position(file.source)
    if stored is not None and not position_holds(file, known, timeline, slot, stored):
        connect.forget_position(file.source)  # it then begins with the slot
