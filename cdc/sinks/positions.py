"""Where a sink's consumer group starts and how it commits: positions follow durability, and a lost one is a fault.

``auto.offset.reset`` is ``error``: a group never jumps over a gap. A partition that the group has never committed is
read from its beginning only while that beginning is still offset 0.
"""

import time
from collections.abc import Callable, Collection

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from cdc.errors import CdcError, LostOffsetError, TransientError

CLICKHOUSE_GROUP = "millrace-clickhouse"
DOCUMENTS_GROUP = "millrace-documents"
INVALIDATION_GROUP = "millrace-invalidation"

_TIMEOUT = 10.0
_ATTEMPTS = 6
_PAUSE = 0.2


def consumer(bootstrap: str, group: str, *, fetch_megabytes: int = 16) -> Consumer:
    """A consumer of the group that commits only what it is told to.

    Args:
        bootstrap: host:port of a broker.
        group: the consumer group, one per target.
        fetch_megabytes: most that is fetched ahead of processing; bounds the memory of a backlog.
    """
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            # How long the broker holds a question while nothing comes; a change is answered at once. Asked twice as often it costs the
            # broker 5 % of a core, asked more seldom a partition that was left alone for a while is taken up too late under load.
            "fetch.wait.max.ms": 100,
            "fetch.error.backoff.ms": 50,
            "queued.max.messages.kbytes": fetch_megabytes * 1024,
            "fetch.queue.backoff.ms": 20,  # the default leaves a partition alone for a second once so much waits here
            "fetch.message.max.bytes": 4 << 20,  # with the default of 1 MB a backlog is read at a third of the speed
            "session.timeout.ms": 10_000,
            "max.poll.interval.ms": 300_000,
            "topic.metadata.refresh.interval.ms": 5_000,
            "reconnect.backoff.max.ms": 1_000,
            "log_level": 3,
        }
    )


def subscribe(
    reader: Consumer,
    topics: list[str],
    on_change: Callable[[], None],
    failed: list[CdcError],
    lost: Callable[[TopicPartition], None] | None = None,
    anew: Collection[str] = (),
) -> None:
    """Subscribe to the topics, starting each partition where the group left off.

    Args:
        reader: a consumer made by `consumer`.
        topics: every topic to read; replaces an earlier subscription.
        on_change: called before partitions are given up, to drop or finish what is in hand.
        failed: a `LostOffsetError` found while partitions are assigned is put here for the caller's loop to raise.
        lost: for a target that can do without what is gone: told of each partition with a lost position, which is then read
            from its end, and of that end. Nothing is committed.
        anew: those of the topics that were made again under their name since the reader last subscribed. They are read from
            their beginning at the first assignment: a position that the group has in one may be the former topic's.
    """
    not_read = set(anew)

    def assigned(_: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            starts = _starts(reader, partitions, lost, not_read)
            not_read.clear()
            reader.assign(starts)
            reader.resume(partitions)  # one that was paused when it was given up would stay so, without a word
        except CdcError as error:
            failed.append(error)
            reader.assign([])  # else the client would go on without positions

    def revoked(_: Consumer, __: list[TopicPartition]) -> None:
        on_change()
        reader.unassign()

    reader.subscribe(topics, on_assign=assigned, on_revoke=revoked, on_lost=revoked)


def _starts(
    reader: Consumer,
    partitions: list[TopicPartition],
    lost: Callable[[TopicPartition], None] | None,
    anew: Collection[str],
) -> list[TopicPartition]:
    """Where to begin each partition; a broker that has just made the topics is asked again for a while."""
    for attempt in range(_ATTEMPTS):
        try:
            committed = reader.committed(partitions, timeout=_TIMEOUT)
            for each in committed:
                if each.topic in anew:
                    each.offset = OFFSET_INVALID
            return [_begin(reader, each, lost) for each in committed]
        except KafkaException as error:
            reason = error.args[0].str()
        time.sleep(_PAUSE * attempt)  # the broker offers no notification
    raise TransientError(f"Kafka does not tell the group's positions: {reason}")


def _begin(
    reader: Consumer, partition: TopicPartition, lost: Callable[[TopicPartition], None] | None
) -> TopicPartition:
    try:
        return _start(reader, partition)
    except LostOffsetError:
        if lost is None:
            raise
    _, end = reader.get_watermark_offsets(partition, timeout=_TIMEOUT)
    begin = TopicPartition(partition.topic, partition.partition, end)
    lost(begin)
    return begin


def _start(reader: Consumer, partition: TopicPartition) -> TopicPartition:
    first, _ = reader.get_watermark_offsets(partition, timeout=_TIMEOUT)
    name = f"{partition.topic}/{partition.partition}"
    if partition.offset == OFFSET_INVALID:
        if first > 0:
            raise LostOffsetError(
                f"{name}: never read, and its first {first} records are gone; `millrace cdc repair` the table"
            )
        return TopicPartition(partition.topic, partition.partition, 0)
    if partition.offset < first:
        raise LostOffsetError(
            f"{name}: records {partition.offset} to {first - 1} are gone; `millrace cdc repair` the table"
        )
    return partition


def topics(reader: Consumer) -> set[str]:
    """The topics that there are now.

    Raises:
        TransientError: no broker answers.
    """
    try:
        found = reader.list_topics(timeout=_TIMEOUT).topics
    except KafkaException as error:
        raise TransientError(f"Kafka does not tell its topics: {error.args[0].str()}") from error
    return {name for name, topic in found.items() if topic.error is None}


def commit(reader: Consumer, offsets: dict[tuple[str, int], int], *, wait: bool = False) -> None:
    """Commit the offsets (topic, partition) -> next offset; call only once the target has acknowledged everything below.

    A failed commit is not an error: the records are read again, and versions make that harmless.
    """
    if not offsets:
        return
    positions = [TopicPartition(topic, partition, offset) for (topic, partition), offset in offsets.items()]
    try:
        if wait:
            reader.commit(offsets=positions, asynchronous=False)
        else:
            reader.commit(offsets=positions, asynchronous=True)
    except KafkaException as error:
        if error.args[0].code() not in (
            KafkaError.ILLEGAL_GENERATION,
            KafkaError.UNKNOWN_MEMBER_ID,
            KafkaError.REBALANCE_IN_PROGRESS,
        ):
            raise
