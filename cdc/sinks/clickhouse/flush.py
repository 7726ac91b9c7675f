"""One flush: everything consumed is written or parked, under one batch number, and only then may its offsets be committed."""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from itertools import chain
from typing import Any

import orjson
import psycopg

from cdc import dead_letters, failpoints, floors, metrics
from cdc import state as engine_state
from cdc.catalog import Shape
from cdc.dead_letters import Refusal
from cdc.floors import NOTHING, Dead
from cdc.sinks.clickhouse.changes import InsertKey, Row, Rows
from cdc.sinks.clickhouse.messages import Batch
from cdc.sinks.clickhouse.table_writer import TARGET, TableWriter
from cdc.sinks.dead_letter_topic import DeadLetterTopic

log = logging.getLogger("millrace.clickhouse-sink")

_INSERTS_AT_ONCE = 3

Write = Callable[[Shape, InsertKey, Rows, int, Dead], list[Refusal]]


class Flusher:
    """Writes batches for one member of the group, whose name is ``writer``. It has workers of its own; one flush at a time."""

    def __init__(
        self, state: psycopg.Connection[Any], tables: TableWriter, topic: DeadLetterTopic, writer: str
    ) -> None:
        self._state = state
        self._tables = tables
        self._topic = topic
        self._writer = writer
        self._pool = ThreadPoolExecutor(_INSERTS_AT_ONCE, thread_name_prefix="insert")
        self._dead: dict[tuple[str, str], Dead] = {}
        self._parked: dict[tuple[str, str], set[str]] = {}
        self._revision = -1

    def close(self) -> None:
        """End the workers."""
        self._pool.shutdown()

    def refresh(self) -> None:
        """Learn what is dead, and the parked keys, that other members, copies, replays and people have set."""
        self._revision = engine_state.revision(self._state)  # before the rest: that is not older
        self._dead = floors.all_dead(self._state)
        self._parked = dead_letters.open_keys(self._state, TARGET)

    def open_batch(self) -> Future[tuple[int, int]]:
        """Begin to take the number of a flush, and the revision of the shapes that it has to be written in; the caller goes on
        consuming meanwhile."""
        return self._pool.submit(engine_state.open_batch_now, self._state, self._writer)

    def flush(
        self,
        batch: Batch,
        number: int,
        shapes: dict[str, Shape],
        *,
        leave_out_unknown: bool = False,
    ) -> None:
        """Write or park everything of the batch.

        Columns that a table's shape does not know are left out where ``leave_out_unknown`` says so.

        Raises:
            TransientError: a wait was stopped; nothing may be committed.
            ShapeMoved: a table is not as its recorded shape says.
        """
        self._tables.leave_out_unknown = leave_out_unknown
        self._tables.refuse_altered({key.topic: shapes[key.topic] for key in chain(batch.rows, batch.absent)}.values())
        for truncate in batch.truncates:
            shape = shapes[truncate.topic]
            log.info("%s was truncated at the source", truncate.topic)
            floors.raise_floor(self._state, shape, truncate.version)
            failpoints.hit("sink.floor-raised")
        if batch.truncates:
            self.refresh()
        refused = self._all(self._tables.write, batch.rows, number, shapes)
        refused += self._all(self._tables.write_again, batch.absent, number, shapes)
        for topic, version in {t.topic: t.version for t in batch.truncates}.items():
            shape = shapes[topic]
            self._tables.sweep(shape, version, number)
            failpoints.hit("sink.swept")
            dead_letters.supersede_below(self._state, TARGET, shape.source, shape.qualified, version)
        failpoints.hit("sink.inserted")
        for topic in batch.unplaced:
            engine_state.ask_to_mend(self._state, shapes[topic], "a change came without its place in the order")
        engine_state.close_batch(self._state, number)
        if engine_state.revision(self._state) != self._revision:
            self.refresh()  # after the writing: who parks after this look finds what was written, see `refused.resolve_overtaken`
        if refused := [each for each in refused if not self._erased(each, shapes)]:
            self._park(refused)
        if self._parked:
            self._supersede(batch, shapes, {(r.name, r.key, r.version) for r in refused})

    def _all(
        self,
        write: Write,
        groups: dict[InsertKey, Rows],
        number: int,
        shapes: dict[str, Shape],
    ) -> list[Refusal]:
        pending = [
            self._pool.submit(write, shapes[key.topic], key, rows, number, self._dead_of(shapes[key.topic]))
            for key, rows in groups.items()
        ]
        wait_for(pending)  # all of them, before the failure of one is told
        return list(chain.from_iterable(future.result() for future in pending))

    def _dead_of(self, shape: Shape) -> Dead:
        return self._dead.get((shape.source, shape.qualified), NOTHING)

    def _erased(self, refusal: Refusal, shapes: dict[str, Shape]) -> bool:
        """Whether the refused change is older than its key's erasure: then it is not to be kept here either."""
        erased = self._dead.get((refusal.source, refusal.name), NOTHING).erased
        if not erased:
            return False
        shape = next(
            each for each in shapes.values() if (each.source, each.qualified) == (refusal.source, refusal.name)
        )
        values = orjson.loads(refusal.key)
        return any(each.ends_message(refusal.version, (values[name] for name in shape.key)) for each in erased)

    def _park(self, refused: list[Refusal]) -> None:
        for refusal in refused[:10]:
            log.error(
                "%s.%s: key %s is refused and parked: %s", refusal.source, refusal.name, refusal.key, refusal.reason
            )
        if len(refused) > 10:
            log.error("%d more changes are refused and parked; `millrace cdc deadletters list`", len(refused) - 10)
        dead_letters.park(self._state, refused)
        failpoints.hit("sink.parked")
        self._topic.publish(refused)
        for refusal in refused:
            metrics.PARKED.labels(TARGET, f"{refusal.source}.{refusal.name}").inc()
            self._parked.setdefault((refusal.source, refusal.name), set()).add(refusal.key)

    def _supersede(self, batch: Batch, shapes: dict[str, Shape], refused: set[tuple[str, str, int]]) -> None:
        """Resolve parked changes of keys whose newer change this flush has written."""
        for key, rows in chain(batch.rows.items(), batch.absent.items()):
            shape = shapes[key.topic]
            parked = self._parked.get((shape.source, shape.qualified))
            if parked:
                written = [
                    (name, version)
                    for name, version in _versions(key, rows, parked)
                    if (shape.qualified, name, version) not in refused
                ]
                dead_letters.supersede(self._state, TARGET, shape.source, shape.qualified, written)


def _versions(key: InsertKey, rows: Iterable[Row], of: set[str]) -> list[tuple[str, int]]:
    return [(name, row.version(key)) for row in rows if (name := row.key.decode()) in of]
