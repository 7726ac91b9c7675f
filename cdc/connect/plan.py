"""The plan: what differs between a source file and what is there, as steps that `apply` runs in a safe order.

The order matters: tables and topics exist before the publication and the slot, so that no change can arrive without a
place; the slot exists before the connector; the backfill comes last, behind its fence, while the stream already runs.
"""

from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import documents, source_database
from cdc import state as engine_state
from cdc.catalog import Shape
from cdc.connect.client import ConnectClient
from cdc.connect.connector import connector_config
from cdc.connect.identity import refused_changes
from cdc.connect.inspection import inspect
from cdc.documents import Tree
from cdc.errors import ConfigurationError
from cdc.kafka import Kafka
from cdc.settings import CdcSettings
from cdc.shapes import unfollowable
from cdc.sinks.clickhouse import raw_table
from cdc.source_file import SourceFile


@dataclass(frozen=True)
class Plan:
    """Everything that `apply` would change for one source; empty lists where nothing is to do."""

    file: SourceFile
    shapes: tuple[Shape, ...]
    epoch: int
    system_identifier: int
    timeline: int
    new_raw_tables: tuple[Shape, ...] = ()
    new_topics: tuple[str, ...] = ()
    publish: tuple[Shape, ...] = ()
    unpublish: tuple[str, ...] = ()
    new_publication: bool = False
    new_slot: bool = False
    capture: tuple[Shape, ...] = ()
    release: tuple[Shape, ...] = ()
    new_definition: bool = False
    connector: dict[str, str] | None = None
    connector_changes: tuple[str, ...] = field(default=())
    copy: tuple[Shape, ...] = ()
    load: tuple[Tree, ...] = ()

    def lines(self) -> list[str]:
        """The plan in words, one line a change, in the order in which they are made."""
        name = self.file.source
        return [
            *([f"take over the source file of {name}"] if self.new_definition else []),
            *(f"create raw table {raw_table.qualified(shape)}{_left_out(shape)}" for shape in self.new_raw_tables),
            *(f"create topic {topic}" for topic in self.new_topics),
            *([f"create publication {self.file.publication} in {name}"] if self.new_publication else []),
            *(
                f"publish {shape.qualified}{refused_changes(shape) if shape.append_only else ''}"
                for shape in self.publish
            ),
            *(f"stop publishing {table}" for table in self.unpublish),
            *([f"create slot {self.file.slot}"] if self.new_slot else []),
            *(f"release {shape.qualified}: its copy stays, unfollowed" for shape in self.release),
            *([f"{'change' if self.connector_changes else 'create'} connector {name}"] if self.connector else []),
            *(f"    {change}" for change in self.connector_changes),
            *(f"copy existing rows of {shape.qualified}" for shape in self.copy),
            *(f"load the documents of index {tree.index}" for tree in self.load),
        ]


def _left_out(shape: Shape) -> str:
    return f", without the generated columns {', '.join(shape.generated)}" if shape.generated else ""


def make_plan(
    file: SourceFile, config: CdcSettings, state: psycopg.Connection[Any], kafka: Kafka, target: Client
) -> Plan:
    """Compare the file with the source, ClickHouse, Kafka and Connect; changes nothing.

    Raises:
        ConfigurationError: the source cannot be captured as the file says; one line for every reason.
        TransientError: a part did not answer.
    """
    with source_database.connect(file) as source:
        found = inspect(file, source)
        if found.problems:
            raise ConfigurationError("\n".join(found.problems))
        trees = documents.load_trees(file, source)
        if reasons := documents.problems(trees, found.shapes):
            raise ConfigurationError("\n".join(f"source {file.source}: {reason}" for reason in reasons))
        system_identifier, timeline = source_database.identity(source)
        known = engine_state.find_source(state, file.source)
        captured = {table.shape.qualified: table for table in engine_state.captured_tables(state, file.source)}
        has_slot = source_database.confirmed_lsn(source, file.slot) is not None
        published = _published(file, source)
    _refuse_broken_line(file, known, (system_identifier, timeline), has_slot)
    _refuse_new_shapes(file, found.shapes, captured)
    epoch = known.epoch if known else 1
    names = {shape.qualified for shape in found.shapes}
    wanted = connector_config(file, epoch, config)
    with closing(ConnectClient(config.connect_url)) as connect:
        current = connect.config(file.source)
    topics, tables = kafka.topics(), _existing(target)
    return Plan(
        file,
        found.shapes,
        epoch,
        system_identifier,
        timeline,
        new_raw_tables=tuple(shape for shape in found.shapes if (shape.raw_database, shape.raw_table) not in tables),
        new_topics=tuple(topic for topic in _topics(file, found.shapes) if topic not in topics),
        new_definition=file not in [applied for applied, _ in engine_state.applied_sources(state)],
        new_publication=published is None,
        publish=tuple(shape for shape in found.shapes if shape.qualified not in (published or ())),
        unpublish=tuple(sorted((published or set()) - names)),
        new_slot=not has_slot,
        capture=tuple(
            s for s in found.shapes if s.qualified not in captured or captured[s.qualified].targets != file.targets
        ),
        release=tuple(table.shape for name, table in captured.items() if name not in names),
        connector=None if wanted == current else wanted,
        connector_changes=_differences(current, wanted) if current is not None else (),
        copy=tuple(s for s in found.shapes if s.qualified not in captured or not captured[s.qualified].backfilled),
        load=tuple(documents.outstanding(trees, config)),
    )


def _topics(file: SourceFile, shapes: tuple[Shape, ...]) -> list[str]:
    """The tables' topics, and those of Debezium's heartbeats and of logical messages."""
    return [*(shape.topic for shape in shapes), f"__debezium-heartbeat.{file.source}", f"{file.source}.message"]


def _published(file: SourceFile, source: psycopg.Connection[Any]) -> set[str] | None:
    row = source.execute("SELECT 1 FROM pg_publication WHERE pubname = %s", [file.publication]).fetchone()
    if row is None:
        return None
    rows = source.execute(
        "SELECT schemaname || '.' || tablename FROM pg_publication_tables WHERE pubname = %s", [file.publication]
    )
    return {name for (name,) in rows}


def _existing(target: Client) -> set[tuple[str, str]]:
    rows = target.query("SELECT database, name FROM system.tables WHERE startsWith(database, 'raw_')").result_rows
    return {(str(database), str(name)) for database, name in rows}


def _differences(current: dict[str, str], wanted: dict[str, str]) -> tuple[str, ...]:
    changed = [key for key in wanted.keys() | current.keys() if current.get(key) != wanted.get(key)]
    return tuple(f"{key}: {current.get(key, '(not set)')} -> {wanted.get(key, '(not set)')}" for key in sorted(changed))


def _refuse_broken_line(
    file: SourceFile, known: engine_state.SourceState | None, identity: tuple[int, int], has_slot: bool
) -> None:
    if known is None:
        return
    if identity != (known.system_identifier, known.timeline):
        raise ConfigurationError(
            f"source {file.source}: this is not the server that was captured before (system identifier and timeline were "
            f"{known.system_identifier}/{known.timeline}, are {identity[0]}/{identity[1]}); its log positions cannot be continued: "
            f"`millrace cdc epoch --raise {file.source}`"
        )
    if not has_slot:
        raise ConfigurationError(
            f"source {file.source}: the slot {file.slot} is gone, so changes since are missing from the copies; "
            f"they must be copied anew under a new epoch: `millrace cdc epoch --raise {file.source}`"
        )


def _refuse_new_shapes(
    file: SourceFile, shapes: tuple[Shape, ...], captured: dict[str, engine_state.CapturedTable]
) -> None:
    for shape in shapes:
        table = captured.get(shape.qualified)
        if table is None:
            continue
        if reason := table.parked or unfollowable(table.shape, shape):
            raise ConfigurationError(f"source {file.source}: {shape.qualified} cannot be followed: {reason}")
