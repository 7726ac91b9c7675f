"""Follows a captured table's shape: columns that were added are added to its copy; any other change parks the table.

PostgreSQL sends no row when a column comes, yet every old row may have a value in it, and events from before lie in the topic
without it. So the copy's column may hold NULL at first, and the table is compared with its source and mended afterwards. Columns
are known by their number in the catalog: a new one that has an old one's name is not taken for it.
"""

import logging
from dataclasses import replace
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import failpoints, source_database
from cdc import state as engine_state
from cdc.catalog import Column, Shape
from cdc.connect.inspection import inspect
from cdc.sinks.clickhouse import raw_table
from cdc.source_file import SourceFile

log = logging.getLogger("millrace.shapes")


def follow(file: SourceFile, state: psycopg.Connection[Any], target: Client) -> bool:
    """Bring the recorded shapes and raw tables of a source up to its catalog; returns whether anything was changed.

    Raises:
        TransientError: the source does not answer.
    """
    with engine_state.line_of(state, file.source), source_database.connect(file) as source:
        now = {shape.qualified: shape for shape in inspect(file, source).shapes}
        changed = False
        for table in engine_state.captured_tables(state, file.source):
            if table.parked is None:
                changed |= _follow_table(table, now.get(table.shape.qualified), state, target)
        return changed


def _follow_table(
    table: engine_state.CapturedTable, now: Shape | None, state: psycopg.Connection[Any], target: Client
) -> bool:
    before = table.shape
    if reason := unfollowable(before, now):
        log.error("%s is not followed any more: %s", before.topic, reason)
        engine_state.park_table(state, before, reason)
        return True
    assert now is not None
    added = [column for column in now.columns if column.number not in {c.number for c in before.columns}]
    after = replace(now, columns=tuple(_as_copied(column, before) for column in now.columns))
    if not added and after == before:
        return False
    for column in added:
        target.command(raw_table.add_column_statement(after, column.name))
        failpoints.hit("shapes.column-added")
    with state.transaction():
        engine_state.capture_table(state, after, table.targets)
        if added:
            names = ", ".join(column.name for column in added)
            log.info("%s: added %s", before.topic, names)
            engine_state.ask_to_mend(state, after, f"the table has new columns: {names}")
    failpoints.hit("shapes.recorded")
    return True


def _as_copied(column: Column, before: Shape) -> Column:
    """A column as the copy has it: one that the copy did not have, or had as nullable, stays so there."""
    old = next((c for c in before.columns if c.number == column.number), None)
    return replace(column, late=not column.nullable and (old is None or old.optional))


def unfollowable(before: Shape, now: Shape | None) -> str | None:
    """Why the table cannot be followed from one shape to the other, and what to do; None when it can."""
    reason = _difference(before, now)
    if reason is None:
        return None
    return f"{reason}; `exclude` the table and apply, drop {raw_table.qualified(before)}, then include it again"


def _difference(before: Shape, now: Shape | None) -> str | None:
    if now is None:
        return "the table was dropped or renamed"
    if now.key != before.key:
        return f"its key was ({', '.join(before.key)}), is ({', '.join(now.key)})"
    if now.append_only != before.append_only:
        return "it is declared append_only now" if now.append_only else "it is not declared append_only any more"
    by_number = {column.number: column for column in now.columns}
    for old in before.columns:
        new = by_number.get(old.number)
        if new is None:
            return f"column {old.name} was dropped"
        if new.name != old.name:
            return f"column {old.name} was renamed to {new.name}"
        if replace(new, nullable=old.nullable) != old:
            return f"column {old.name} has changed its type from {old.type} to {new.type}"
        if new.nullable and not old.optional:
            return f"column {old.name} may be NULL now"
    return None
