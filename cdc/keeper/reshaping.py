"""Makes the copy of a table anew in its new shape, beside the one that readers see, and exchanges the two when it is whole.

The sinks do not read the table's topic meanwhile. Its rows are copied below a fence that is raised after the change of shape, so
every change that was read in the former shape has a version below the fence: a floor there makes all of them dead, wherever they
still lie, and no value of one column is ever taken for another's. Readers see the former copy, standing still, until the exchange;
then the new one as of the fence, and within moments what was committed since.

Before it is begun every insert in the former shape must have ended, or it could land in the new copy. A keeper that
dies on the way begins anew: the table stays parked, and the exchange can be made twice.
"""

import logging
from dataclasses import replace
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import failpoints, floors, source_database
from cdc import state as engine_state
from cdc.backfill.copy import backfill
from cdc.backfill.fence import raise_fence
from cdc.catalog import Shape
from cdc.connect.inspection import Inspection, inspect
from cdc.connect.publication import publish
from cdc.settings import settings
from cdc.shapes import park, problems_of, would_show
from cdc.sinks.clickhouse import cluster, history, raw_table
from cdc.source_file import SourceFile
from cdc.state import CapturedTable
from cdc.version import Version
from cdc.waiting import wait_until

log = logging.getLogger("millrace.keeper")

_PATIENCE = 30.0


def reshape_asked(source: str, state: psycopg.Connection[Any], target: Client) -> None:
    """Make the copies anew of all tables of a source that wait for it, together.

    Raises:
        CdcError: a part did not answer; calling again begins anew. A table that was altered again is left for the next call.
    """
    asked = [table for table in engine_state.captured_tables(state, source) if table.reshaping]
    known = engine_state.find_source(state, source)
    file = engine_state.applied_file(state, source)
    if asked and known is not None and file is not None:
        _reshape(file, known.epoch, asked, state, target)


def _reshape(
    file: SourceFile, epoch: int, tables: list[CapturedTable], state: psycopg.Connection[Any], target: Client
) -> None:
    wait_until(lambda: not _held(state, tables), _PATIENCE, lambda: _held(state, tables))
    with source_database.connect(file) as source:
        wanted = _wanted(file.source, tables, state, source)
        if any(now.hidden for now in wanted.values()):
            raise_fence(
                source
            )  # who had written before the publication named a new column must have ended before the copy's own fence
    cluster.make_database(target, "raw_millrace")
    for now in wanted.values():
        cluster.drop(target, raw_table.qualified(now))
        cluster.define(target, raw_table.create_statement(now), raw_table.qualified(now))
        history.prepare(target, now)
    copies = backfill(file, list(wanted.values()), epoch, settings().millrace_state_dsn, target, anew=True)
    failpoints.hit("shapes.copied")
    copied = {each.name: each for each in copies}
    for table, now in wanted.items():
        if each := copied.get(now.qualified):
            _exchange(file, table, now, Version(epoch, each.fence, 0), each.rows, state, target)


def _wanted(
    name: str, tables: list[CapturedTable], state: psycopg.Connection[Any], source: psycopg.Connection[Any]
) -> dict[CapturedTable, Shape]:
    """What each table is to be copied as, by the file that is applied now, published."""
    with engine_state.line_of(state, name):
        file = engine_state.applied_file(state, name)
        if file is None:
            return {}
        found = inspect(file, source)
        return {t: now for t in tables if (now := _shape_now(file, found, t, state, source)) is not None}


def _shape_now(
    file: SourceFile,
    found: Inspection,
    table: CapturedTable,
    state: psycopg.Connection[Any],
    source: psycopg.Connection[Any],
) -> Shape | None:
    """The table as it is now, published; None when it is gone, or cannot be captured as it is: then it is parked."""
    now = next((shape for shape in found.shapes if shape.qualified == table.shape.qualified), None)
    if now is None:
        return None
    would = would_show(engine_state.captured_tables(state, file.source), found, table.shape, now)
    if problems := problems_of(found, now) + ([would] if would else []):
        park(state, table, problems)
        return None
    publish(
        file, now, source
    )  # another table that has taken the name is not there yet, nor are columns where some are excluded
    former = {*table.shape.former, *(column.name for column in table.shape.columns)}
    names = former - {column.name for column in now.columns}
    return replace(now, staged=True, former=tuple(sorted(names)), history=table.shape.history)


def _exchange(
    file: SourceFile,
    table: CapturedTable,
    staged: Shape,
    stamp: Version,
    rows: int,
    state: psycopg.Connection[Any],
    target: Client,
) -> None:
    """Give the new copy to readers and the sinks. What was altered since is found by the shape that is recorded."""
    now = replace(staged, staged=False, since=stamp.pack())
    with engine_state.line_of(state, file.source):
        if not _still_asked(state, table):
            log.warning(
                "%s: its new copy is not taken: something else was decided about the table meanwhile", now.topic
            )
        else:
            beside, seen = raw_table.qualified(staged), raw_table.qualified(now)
            cluster.define(target, f"EXCHANGE TABLES {beside} AND {seen}", beside, seen)
            failpoints.hit("shapes.exchanged")
            with state.transaction():
                engine_state.capture_table(state, now, table.targets)
                floors.raise_floor(state, now, stamp.pack())
                if "elasticsearch" in table.targets:
                    engine_state.ask_to_mend(state, now, f"its copy was made anew ({now.mark[:8]})")
            log.warning("%s: its copy was made anew, %d rows", now.topic, rows)
    cluster.drop(target, raw_table.qualified(staged))


def _still_asked(state: psycopg.Connection[Any], table: CapturedTable) -> bool:
    """Whether the table still waits for this copy; it may have been taken out, purged, or captured anew."""
    now = next((t for t in engine_state.captured_tables(state, table.shape.source) if t.shape == table.shape), None)
    return now is not None and (now.reshaping, now.held_batch) == (True, table.held_batch)


def _held(state: psycopg.Connection[Any], tables: list[CapturedTable]) -> str:
    """Who may still write in the former shape of one of the tables; empty when nobody does."""
    writers = engine_state.held_open(state, max(table.held_batch for table in tables))
    return f"{', '.join(writers)} may still write in the former shape of a table; its new copy waits" if writers else ""
