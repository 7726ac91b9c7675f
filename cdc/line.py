"""Whether a source's log is still the line that was captured, and whether its slot can be gone on with when it is not.

A promotion ends one line of the log at a *fork* and begins another there. The epoch is raised for every promotion, also for one that
lost nothing: whether the former primary had told of changes that it never shipped is known to nobody after its death, and such
changes have positions above those of the new line. What is decided here is only whether the *slot* is kept. A failover slot came
along to the new primary: then the stream goes on where it was, and no event is missing from it. Else it is made anew, and what
is missing from the stream comes by comparing, as rows.
"""

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg

from cdc import source_database
from cdc import state as engine_state
from cdc.connect.client import ConnectClient
from cdc.errors import TransientError
from cdc.settings import CdcSettings
from cdc.slots import Slot, find_slot
from cdc.source_file import SourceFile
from cdc.version import format_lsn, parse_lsn


@dataclass(frozen=True)
class Break:
    """Why the epoch has to be raised; ``keep_slot``: the slot has come along, and the stream goes on by it."""

    reason: str
    keep_slot: bool = False


def broken_line(file: SourceFile, known: engine_state.SourceState, config: CdcSettings) -> Break | None:
    """Why the source's log is not the line that was captured, or None when it is.

    Raises:
        TransientError: the source or Connect does not answer, the database is a standby for now, or a former primary.
    """
    if known.raising:
        return Break(known.raising, known.keep_slot)
    with source_database.connect(file) as source, closing(ConnectClient(config.connect_url)) as connect:
        if source_database.in_recovery(source):
            raise TransientError(f"source {file.source}: the database is a standby, and cannot be captured from")
        identity = source_database.identity(source)
        if identity[0] != known.system_identifier:
            return Break(
                f"the server is another one: its system identifier was {known.system_identifier}, is {identity[0]}"
            )
        if former := former_primary(file, known, source):
            raise TransientError(f"source {file.source}: {former}")
        # In this order: each moves on while the next is read, and must not look ahead of it for that alone.
        slot = find_slot(source, file.slot)
        if identity[1] != known.timeline:
            return _promoted(file, known, identity[1], slot, connect.position(file.source))
        if slot is None:
            return Break(f"the slot {file.slot} is gone, and with it the changes since it was last read")
        if slot.lost:
            return Break(
                f"the server has let go of the slot {file.slot} ({slot.lost}), and with it of the changes since it was last read"
            )
        if connect.config(file.source) is None:
            return None  # not applied to the end yet
        stored = connect.position(file.source)
        written = source_database.insert_lsn(source)
    if stored is not None and stored > written:
        return Break("the log ends before the position that was read already: the server was set back")
    if stored is not None and slot.confirmed > stored:
        return Break(f"the slot {file.slot} begins after the position that was read last: it was made anew or moved")
    return None


def _promoted(
    file: SourceFile, known: engine_state.SourceState, timeline: int, slot: Slot | None, stored: int | None
) -> Break:
    """The judgement on another timeline of the same server."""
    fork = fork_of(file, known.timeline, timeline)
    what = f"the server was promoted or restored: its timeline was {known.timeline}, is {timeline}"
    if fork is None:
        return Break(f"{what}, and does not come from the one before")
    where = f"{what} since {format_lsn(fork)}"
    if (
        slot is None or slot.lost or not slot.synced
    ):  # files that were restored may hold a slot without the log that it needs
        return Break(f"{where}; the slot {file.slot} did not come along, and is made anew")
    if stored is not None and slot.confirmed > stored:
        return Break(f"{where}; its slot {file.slot} begins after the position that was read last, and is made anew")
    if stored is not None and stored > fork:
        return Break(
            f"{where}; the slot came along, and is gone on with from before what was read and is not there", True
        )
    return Break(f"{where}; the slot came along, and is gone on with where it was", True)


def position_holds(file: SourceFile, known: engine_state.SourceState, timeline: int, slot: Slot, stored: int) -> bool:
    """Whether a connector that goes on with the slot may do so at its stored position.

    Not when that lies on the lost end of the former line: the server would leave out what the new line has up to it. Beyond the
    fork it lies on the new line only when the slot has been read there as well: a connector whose address leads to the new
    primary may have been quicker than the keeper.
    """
    fork = fork_of(file, known.timeline, timeline)
    return fork is None or stored <= fork or slot.confirmed > fork


def fork_of(file: SourceFile, before: int, now: int) -> int | None:
    """Where the timeline ``now`` left the one ``before``, an earlier one of the same server; None when it does not come from it.

    Raises:
        TransientError: the source does not answer.
    """
    if now == 1:
        return None
    with source_database.connect(file, replication=True) as session:
        row = session.execute(f"TIMELINE_HISTORY {now:d}".encode()).fetchone()
    assert row is not None
    history = bytes(row[1]).decode() if isinstance(row[1], bytes | memoryview) else str(row[1])
    for line in history.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == str(before):
            return parse_lsn(words[1])
    return None


def former_primary(file: SourceFile, known: engine_state.SourceState, source: psycopg.Connection[Any]) -> str | None:
    """What is wrong with the server that takes writes, where the DSN names several: it is on an earlier timeline, a former primary
    that was not shut out. With one server it was restored. None: nothing."""
    if not source_database.several_hosts(file):
        return None
    identifier, timeline = source_database.identity(source)
    if identifier != known.system_identifier or timeline >= known.timeline:
        return None
    return (
        f"{source.info.host}:{source.info.port} takes writes on timeline {timeline}, which was left for {known.timeline}: a former "
        f"primary; stop it or make it a standby (where it was restored on purpose: `millrace cdc epoch --raise {file.source}`)"
    )
