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
from cdc.connect.remove import drop_slot
from cdc.errors import PermanentError, TransientError
from cdc.kafka import Kafka
from cdc.settings import CdcSettings
from cdc.source_file import SourceFile

HIGHEST = 255


def raise_epoch(
    file: SourceFile,
    reason: str,
    config: CdcSettings,
    state: psycopg.Connection[Any],
    kafka: Kafka,
    target: Client,
    say: Callable[[str], None],
) -> int:
    """Raise the epoch (or finish a raise that was begun), and ask for every copy to be mended; returns the new epoch.

    Args:
        file: the source, as it was applied.
        reason: why; kept in the state until the raise is done, and with each table until it is mended.
        config, state, kafka, target: the engine's parts.
        say: told each step.

    Raises:
        PermanentError: the highest epoch was used up, or the database is a standby.
        CdcError: a part did not answer; calling again goes on.
    """
    with engine_state.line_of(state, file.source):
        return _raise(file, reason, config, state, kafka, target, say)


def _raise(
    file: SourceFile,
    reason: str,
    config: CdcSettings,
    state: psycopg.Connection[Any],
    kafka: Kafka,
    target: Client,
    say: Callable[[str], None],
) -> int:
    epoch = engine_state.begin_raise(state, file.source, reason)
    if epoch > HIGHEST:
        raise PermanentError(
            f"source {file.source}: all {HIGHEST} epochs are used; take the source out and apply it anew"
        )
    say(f"epoch {epoch}: {reason}")
    failpoints.hit("epoch.begun")
    with closing(ConnectClient(config.connect_url)) as connect:
        connect.remove(file.source)  # with its offsets: they name positions of the old line
    failpoints.hit("epoch.connector-removed")
    with source_database.connect(file) as source:
        if source_database.in_recovery(source):
            raise PermanentError(
                f"source {file.source}: the database is a standby; the epoch is raised on the primary only"
            )
        identity = source_database.identity(source)
        drop_slot(source, file)
        source_database.create_slot(source, file)
    failpoints.hit("epoch.slot-created")
    engine_state.change_line(state, file.source, identity)
    failpoints.hit("epoch.line-changed")
    plan = make_plan(file, config, state, kafka, target)
    apply_plan(plan, config, state, kafka, target, say, lambda *_: None)
    engine_state.end_raise(state, file.source, reason)
    return epoch


def broken_line(file: SourceFile, known: engine_state.SourceState, config: CdcSettings) -> str | None:
    """Why the source's log is not the line that was captured, or None when it is.

    Raises:
        TransientError: the source or Connect does not answer, or the database is a standby for now.
    """
    if known.raising:
        return known.raising
    with source_database.connect(file) as source, closing(ConnectClient(config.connect_url)) as connect:
        if source_database.in_recovery(source):
            raise TransientError(f"source {file.source}: the database is a standby, and cannot be captured from")
        identity = source_database.identity(source)
        if identity[0] != known.system_identifier:
            return f"the server is another one: its system identifier was {known.system_identifier}, is {identity[0]}"
        if identity[1] != known.timeline:
            return f"the server was promoted or restored: its timeline was {known.timeline}, is {identity[1]}"
        # In this order: each moves on while the next is read, and must not look ahead of it for that alone.
        confirmed = source_database.confirmed_lsn(source, file.slot)
        if confirmed is None:
            return f"the slot {file.slot} is gone, and with it the changes since it was last read"
        if connect.config(file.source) is None:
            return None  # not applied to the end yet
        stored = connect.position(file.source)
        written = source_database.insert_lsn(source)
    if stored is not None and stored > written:
        return "the log ends before the position that was read already: the server was set back"
    if stored is not None and confirmed > stored:
        return f"the slot {file.slot} begins after the position that was read last: it was made anew or moved"
    return None
