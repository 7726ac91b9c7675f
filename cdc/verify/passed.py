"""When have the sinks passed a log position? One definition, used by every proof.

For an insert LSN of the primary: the slot has confirmed it (everything before it is in Kafka); then the end offsets of
the tables' topics are read; then the group's committed offsets reach them. Never the highest version in the target: that
says nothing about other partitions.
"""

import time
from collections.abc import Collection, Iterable
from typing import Any

import psycopg

from cdc import source_database
from cdc.errors import PermanentError, TransientError
from cdc.kafka import Kafka
from cdc.source_file import SourceFile
from cdc.version import format_lsn

_POLL = 0.05


def wait_until_passed(
    file: SourceFile,
    source: psycopg.Connection[Any],
    kafka: Kafka,
    groups: Collection[str],
    topics: list[str],
    lsn: int,
    *,
    then: Iterable[str] = (),
    patience: float = 60.0,
) -> None:
    """Return once every group has written everything committed before ``lsn`` from the topics.

    Args:
        file: the source that the position belongs to.
        source: an autocommit session on its primary.
        kafka: where its topics are.
        groups: consumer groups of the sinks.
        topics: topics that count; their other readers do not matter.
        lsn: an insert LSN of the primary.
        then: topics by which the groups' members hand on what they have read: they count as they end once the others are passed.
        patience: seconds to wait in all.

    Raises:
        TransientError: not passed in time; says which hop is behind.
        PermanentError: the slot is gone.
    """
    deadline = time.monotonic() + patience
    while (confirmed := source_database.confirmed_lsn(source, file.slot)) is None or confirmed < lsn:
        if confirmed is None:
            raise PermanentError(f"source {file.source}: the slot {file.slot} is gone; `millrace cdc apply` says more")
        source_database.heartbeat(source)
        _pause(
            deadline,
            f"source {file.source}: the connector has confirmed {format_lsn(confirmed)}, {format_lsn(lsn)} is awaited",
        )
    for lot in (topics, list(then)):
        if lot:
            _wait_for_groups(kafka, groups, lot, deadline)


def _wait_for_groups(kafka: Kafka, groups: Iterable[str], topics: list[str], deadline: float) -> None:
    ends = {
        (topic, partition): end for topic in topics for partition, (_, end) in kafka.bounds(topic).items() if end > 0
    }
    for group in groups:
        while behind := _behind(kafka.committed(group, topics), ends):
            if gone := {topic for topic, _ in behind} - kafka.topics().keys():
                raise PermanentError(f"the topic {min(gone)} is gone; was the table taken out meanwhile?")
            _pause(
                deadline,
                f"group {group} is {sum(behind.values())} records behind in {', '.join(sorted({t for t, _ in behind}))}",
            )


def _behind(committed: dict[tuple[str, int], int], ends: dict[tuple[str, int], int]) -> dict[tuple[str, int], int]:
    return {place: end - committed.get(place, 0) for place, end in ends.items() if committed.get(place, 0) < end}


def _pause(deadline: float, behind: str) -> None:
    if time.monotonic() > deadline:
        raise TransientError(f"{behind}; is the part up? `millrace status`")
    time.sleep(_POLL)  # polls positions that have no notification
