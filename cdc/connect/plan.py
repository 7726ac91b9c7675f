"""The plan: what differs between a source file and what is there, as steps that `apply` runs in a safe order.

The order matters: tables and topics exist before the publication and the slot, so that no change can arrive without a
place; the slot exists before the connector; the backfill comes last, behind its fence, while the stream already runs.
"""

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import documents, source_database
from cdc import state as engine_state
from cdc.catalog import Shape
from cdc.connect import histories
from cdc.connect.client import ConnectClient
from cdc.connect.connector import connector_config
from cdc.connect.failover import failover_warnings
from cdc.connect.identity import refused_changes
from cdc.connect.inspection import inspect
from cdc.connect.secrets import refuse_other_mask_key
from cdc.documents import Tree
from cdc.errors import ConfigurationError
from cdc.hiding import remasked, shown
from cdc.kafka import Kafka
from cdc.settings import CdcSettings
from cdc.sinks.clickhouse import raw_table
from cdc.sinks.clickhouse.history import log_of
from cdc.slots import FAILOVER, Slot, find_slot
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
    failover_slot: bool = False
    """The slot is there, and is to become one that standbys may keep."""
    capture: tuple[Shape, ...] = ()
    release: tuple[Shape, ...] = ()
    new_definition: bool = False
    connector: dict[str, str] | None = None
    connector_changes: tuple[str, ...] = field(default=())
    purge: Mapping[Shape, str] = field(default_factory=dict)
    copy: tuple[Shape, ...] = ()
    begin_history: tuple[Shape, ...] = ()
    end_history: tuple[Shape, ...] = ()
    load: tuple[Tree, ...] = ()
    before: SourceFile | None = None
    """The file that was applied when the plan was made."""
    warnings: tuple[str, ...] = ()
    """What is no change to make, but a person should know; one line each."""

    def lines(self) -> list[str]:
        """The plan in words, one line a change, in the order in which they are made."""
        name = self.file.source
        return [
            *([f"take over the source file of {name}"] if self.new_definition else []),
            *(
                f"purge raw table {raw_table.qualified(shape)}{' and its log' if shape.history else ''}, topic {shape.topic} "
                f"and the dead letters of {shape.qualified}: {reason}"
                for shape, reason in self.purge.items()
            ),
            *(f"create raw table {raw_table.qualified(shape)}{_left_out(shape)}" for shape in self.new_raw_tables),
            *(f"keep the history of {shape.qualified} in {log_of(shape)}" for shape in self.begin_history),
            *(
                f"keep the history of {shape.qualified} no longer: {log_of(shape)} stays, unfollowed"
                for shape in self.end_history
            ),
            *(f"create topic {topic}" for topic in self.new_topics),
            *([f"create publication {self.file.publication} in {name}"] if self.new_publication else []),
            *(
                f"publish {shape.qualified}{refused_changes(shape) if shape.append_only else ''}"
                for shape in self.publish
            ),
            *(f"stop publishing {table}" for table in self.unpublish),
            *([f"create slot {self.file.slot}"] if self.new_slot else []),
            *([f"let standbys keep the slot {self.file.slot}"] if self.failover_slot else []),
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
    before = engine_state.applied_file(state, file.source)
    if file.hashes:
        refuse_other_mask_key(config.cdc_mask_key, config.connect_secrets_file)
    with source_database.connect(file) as source:
        found = inspect(file, source)
        if found.problems:
            raise ConfigurationError("\n".join(found.problems))
        trees = documents.load_trees(file, source)
        if reasons := documents.problems(trees, found.shapes):
            raise ConfigurationError("\n".join(f"source {file.source}: {reason}" for reason in reasons))
        if trees:
            documents.refuse_names_in_use(trees, config)
        system_identifier, timeline = source_database.identity(source)
        known = engine_state.find_source(state, file.source)
        captured = {table.shape.qualified: table for table in engine_state.captured_tables(state, file.source)}
        slot = find_slot(source, file.slot)
        failover = source.info.server_version >= FAILOVER
        warnings = failover_warnings(file, source)
        published = _published(file, source)
        primary = source_database.address(source)
    _refuse_broken_line(file, known, (system_identifier, timeline), slot)
    shapes_before = [table.shape for table in captured.values()]
    if reasons := [f"{s.qualified}: {reason}" for s in found.shapes if (reason := shown(shapes_before, s))]:
        raise ConfigurationError("\n".join(f"source {file.source}: {reason}" for reason in reasons))
    purge = {
        shape: reason
        for shape in found.shapes
        if (table := captured.get(shape.qualified)) and (reason := remasked(table.shape, shape))
    }
    _refuse_newly_excluded(file, found.shapes, captured)
    epoch = known.epoch if known else 1
    tables = _existing(target)
    begin_history, end_history = histories.turned(found.shapes, captured, tables, purge)
    names = {shape.qualified for shape in found.shapes}
    wanted = connector_config(file, epoch, config, found.shapes, primary)
    with closing(ConnectClient(config.connect_url)) as connect:
        current = connect.config(file.source)
    topics = kafka.topics()
    return Plan(
        file,
        found.shapes,
        epoch,
        system_identifier,
        timeline,
        new_raw_tables=tuple(
            shape for shape in found.shapes if (shape.raw_database, shape.raw_table) not in tables or shape in purge
        ),
        new_topics=tuple(
            topic
            for topic in _topics(file, found.shapes)
            if topic not in topics or topic in {shape.topic for shape in purge}
        ),
        new_definition=file != before,
        new_publication=published is None,
        publish=tuple(s for s in found.shapes if s.qualified not in (published or ()) or s in purge),
        unpublish=tuple(sorted((published or set()) - names)),
        new_slot=slot is None,
        failover_slot=failover and slot is not None and not slot.failover,
        capture=tuple(
            s
            for s in found.shapes
            if s.qualified not in captured or captured[s.qualified].targets != file.targets or s in purge
        ),
        release=tuple(table.shape for name, table in captured.items() if name not in names),
        connector=None if wanted == current else wanted,
        connector_changes=_differences(current, wanted) if current is not None else (),
        purge=purge,
        copy=tuple(
            s
            for s in found.shapes
            if s.qualified not in captured
            or not (captured[s.qualified].backfilled or captured[s.qualified].reshaping)
            or s in purge
            or s in begin_history
        ),
        begin_history=begin_history,
        end_history=end_history,
        load=tuple(documents.outstanding(trees, config)),
        before=before,
        warnings=warnings,
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
    file: SourceFile, known: engine_state.SourceState | None, identity: tuple[int, int], slot: Slot | None
) -> None:
    if known is None:
        return
    if identity != (known.system_identifier, known.timeline):
        raise ConfigurationError(
            f"source {file.source}: this is not the server that was captured before (system identifier and timeline were "
            f"{known.system_identifier}/{known.timeline}, are {identity[0]}/{identity[1]}); its log positions cannot be continued: "
            f"`millrace cdc epoch --raise {file.source}`"
        )
    if slot is None or slot.lost:
        raise ConfigurationError(
            f"source {file.source}: the slot {file.slot} is {'lost' if slot else 'gone'}, so changes since are missing from the copies; "
            f"they must be copied anew under a new epoch: `millrace cdc epoch --raise {file.source}`"
        )


def _refuse_newly_excluded(
    file: SourceFile, shapes: Iterable[Shape], captured: dict[str, engine_state.CapturedTable]
) -> None:
    """A change of the source's shape is followed; what the file leaves out is not taken out of a copy that has it."""
    for shape in shapes:
        if (table := captured.get(shape.qualified)) is None:
            continue
        if names := [column.name for column in table.shape.columns if column.number in shape.hidden]:
            raise ConfigurationError(
                f"source {file.source}: {', '.join(names)} of {shape.qualified} cannot be excluded while its copy has it; "
                f"`exclude` the table and apply, drop {raw_table.qualified(table.shape)}, then include it again"
            )
