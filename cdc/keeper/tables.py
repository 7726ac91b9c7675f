"""Follows which tables there are: a new one that the source file's globs name is captured, one that is gone is let go.

A new table is captured at the second look at which it is there, so that whoever makes tables and applies the file himself comes
first. The copy of a table that was dropped, renamed, or moved to another schema stays as it was, for whoever analyses what was: it is
the only place that has these rows still. Its comment in ClickHouse says since when and why it stands still, and should another table
take the name, it goes aside (`cdc.connect.apply`). A renamed table that the globs name is captured under its new name, unless the
source file hides columns of it: those it would show.
"""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import source_database
from cdc import state as engine_state
from cdc.catalog import Shape, read_shapes
from cdc.connect.apply import LET_GO, apply_plan
from cdc.connect.inspection import inspect, select
from cdc.connect.plan import make_plan
from cdc.connect.publication import unpublish
from cdc.errors import ConfigurationError
from cdc.hiding import hides
from cdc.kafka import Kafka
from cdc.settings import CdcSettings
from cdc.shapes import park, problems_of
from cdc.sinks.clickhouse import cluster, raw_table
from cdc.sinks.positions import CLICKHOUSE_GROUP
from cdc.source_file import SourceFile
from cdc.state import CapturedTable
from cdc.verify.passed import wait_until_passed

log = logging.getLogger("millrace.keeper")

_PATIENCE = 10.0


class Tables:
    """Looks at the tables of all sources, again and again; remembers which new ones it has seen before."""

    def __init__(self, config: CdcSettings) -> None:
        self._config = config
        self._seen: set[tuple[str, int]] = set()

    def follow(self, name: str, state: psycopg.Connection[Any], kafka: Kafka, target: Client) -> None:
        """Let go what is gone of a source, then capture what is new; nothing while somebody applies it.

        Raises:
            CdcError: a part did not answer, or a new table cannot be captured; says why.
        """
        with engine_state.line_of(state, name, wait=False) as held:
            file = engine_state.applied_file(state, name) if held else None
            if file is None:
                return
            new, wrong = self._look(file, state, kafka, target)
        if any(each in self._seen and table not in wrong for each, table in new.items()):
            self._capture(file, tuple(wrong), state, kafka, target)
        self._seen = {each for each in self._seen if each[0] != name} | new.keys()
        if refused := [problem for table in new.values() for problem in wrong.get(table, ())]:
            raise ConfigurationError("; ".join(refused))

    def _look(
        self, file: SourceFile, state: psycopg.Connection[Any], kafka: Kafka, target: Client
    ) -> tuple[dict[tuple[str, int], str], dict[str, list[str]]]:
        """Let go what is gone; returns which tables are new, and of those that cannot be captured the reasons."""
        with source_database.connect(file) as source:
            everything = read_shapes(source, file.source)
            found = {shape.qualified: shape for shape in select(file, everything)}
            captured = engine_state.captured_tables(state, file.source)
            names = {shape.relation: shape.qualified for shape in everything}
            for table in captured:
                if table.shape.qualified not in found:
                    self._gone(file, table, names.get(table.shape.relation), state, kafka, target, source)
            known = {table.shape.qualified for table in captured}
            new = {(file.source, shape.relation): name for name, shape in found.items() if name not in known}
            return new, _wrong(file, source) if new else {}

    def _gone(
        self,
        file: SourceFile,
        table: CapturedTable,
        name_now: str | None,
        state: psycopg.Connection[Any],
        kafka: Kafka,
        target: Client,
        source: psycopg.Connection[Any],
    ) -> None:
        """Let a table go, unless it is there under another name and has columns that would be shown by that."""
        if not hides(table.shape) or name_now in (None, table.shape.qualified):
            self._let_go(file, table, name_now, state, kafka, target, source)
            return
        unpublish(file, str(name_now), source)  # the connector would send it in clear under that name
        park(state, table, [_still_hidden(table.shape, str(name_now))])

    def _capture(
        self, file: SourceFile, without: tuple[str, ...], state: psycopg.Connection[Any], kafka: Kafka, target: Client
    ) -> None:
        some = file.model_copy(update={"exclude": (*file.exclude, *without)})
        plan = make_plan(some, self._config, state, kafka, target)
        if plan.purge:
            names = _names(tuple(plan.purge))
            raise ConfigurationError(
                f"source {file.source}: {names}: another mask is declared; `millrace cdc apply` goes on with it"
            )
        plan = replace(plan, file=file, before=file, new_definition=False, unpublish=(), release=())
        log.warning("source %s has new tables: %s", file.source, _names(plan.capture))
        say = partial(log.info, "%s")
        apply_plan(plan, self._config, state, kafka, target, say, lambda *_: None, leave_copies=True)

    def _let_go(
        self,
        file: SourceFile,
        table: CapturedTable,
        name_now: str | None,
        state: psycopg.Connection[Any],
        kafka: Kafka,
        target: Client,
        source: psycopg.Connection[Any],
    ) -> None:
        shape = table.shape
        if table.parked is None:
            lsn = source_database.insert_lsn(source)
            wait_until_passed(file, source, kafka, [CLICKHOUSE_GROUP], [shape.topic], lsn, patience=_PATIENCE)
        what = "was dropped" if name_now in (None, shape.qualified) else f"is called {name_now} now"
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        comment = f"{LET_GO} {since}: {shape.qualified} {what}; these are its rows as they were"
        copy = raw_table.qualified(shape)
        cluster.define(target, f"ALTER TABLE {copy} MODIFY COMMENT '{comment}'", copy)
        engine_state.release_table(state, shape)
        log.warning("%s: %s %s; its copy stays as it was", shape.topic, shape.qualified, what)


def _wrong(file: SourceFile, source: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """Tables that cannot be captured, with the reasons."""
    found = inspect(file, source)
    return {each.qualified: problems for each in found.shapes if (problems := problems_of(found, each))}


def _still_hidden(shape: Shape, name_now: str) -> str:
    """Why a renamed table is not let go: as a new one it would be shown whole."""
    return (
        f"{shape.qualified} is called {name_now} now, and its source file masks or excludes columns of it under the former name; "
        "name it there as it is called now and `millrace cdc apply`, or `exclude` it"
    )


def _names(shapes: tuple[Shape, ...]) -> str:
    return ", ".join(shape.qualified for shape in shapes) or "none that is not captured by now"
