"""Follows the shapes of a source's captured tables: alters their copies in place, or has the keeper make them anew.

PostgreSQL tells nobody of DDL, so the catalog is asked: by the sinks before they write a batch (which tables were altered since
their shape was recorded, `cdc.catalog.altered`), and by the keeper every few seconds, for tables without changes. Not even a change
that was taken back since is missed. What can be altered in place is altered, then the copy is compared with its source and mended:
PostgreSQL sends no row when a column comes, yet every old row may have a value in it, and USING may have changed every value of a
column that looks the same. Anything else parks the table until the keeper has made its copy anew (`cdc.keeper.reshaping`). A table
that could not be captured as it is now is parked with the reason, and taken up again when that is mended. The others flow.

Before all that comes what a source file hides (`cdc.hiding`): a masked or excluded column that goes by another name parks its table,
and where the connector would send it in clear by that name the table is published no more until the file says how it is hidden.
"""

import logging
import re
from collections.abc import Iterable
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import failpoints, source_database
from cdc import state as engine_state
from cdc.catalog import Shape, read_shapes
from cdc.connect.inspection import Inspection, inspect
from cdc.connect.publication import unpublish
from cdc.hiding import remasked, shown
from cdc.shape_changes import alteration, reason_to_copy_anew
from cdc.sinks.clickhouse import cluster, history, raw_table
from cdc.source_file import SourceFile

log = logging.getLogger("millrace.shapes")


def follow(name: str, state: psycopg.Connection[Any], target: Client) -> bool:
    """Bring the recorded shapes and raw tables of a source up to its catalog; returns whether anything was changed.

    Tables that are gone are left to the keeper (`cdc.keeper.tables`): nothing more comes of them.

    Raises:
        TransientError: the source does not answer.
    """
    with engine_state.line_of(state, name):
        file = engine_state.applied_file(state, name)  # only now: an apply may have changed it meanwhile
        return file is not None and _follow(file, state, target)


def _follow(file: SourceFile, state: psycopg.Connection[Any], target: Client) -> bool:
    with source_database.connect(file) as source:
        found = inspect(file, source)
        now = {shape.qualified: shape for shape in found.shapes}
        lost = _lost_declarations(file, source)
        captured = engine_state.captured_tables(state, file.source)
        for each in found.shapes:
            if shown((table.shape for table in captured), each):
                unpublish(file, each.qualified, source)  # the connector knows its masks by name
        changed = False
        for table in captured:
            after = now.get(table.shape.qualified)
            if after is None or table.reshaping:
                continue
            if reason := lost.get(after.qualified) or would_show(captured, found, table.shape, after):
                changed |= park(state, table, [reason])
            else:
                changed |= _follow_table(table, after, found, state, target)
        return changed


def would_show(
    captured: Iterable[engine_state.CapturedTable], found: Inspection, before: Shape, now: Shape
) -> str | None:
    """Why a table must not be followed: a column that its copy hides would be shown, here or in a table that it has become, or a
    column is masked otherwise."""
    if reason := shown((table.shape for table in captured), now):
        return reason
    for each in found.shapes:
        if reason := shown([before], each):
            return reason
    if reason := remasked(before, now):
        return f"{reason}; `millrace cdc apply` purges it and copies it anew"
    return None


def _lost_declarations(file: SourceFile, source: psycopg.Connection[Any]) -> dict[str, str]:
    """Tables that the source file hides a column of which there is no more: it may be there under another name, and would be
    shown as a new one. By ``schema.table``, with the reason."""
    hiding = {name: (*columns.exclude, *columns.mask) for name, columns in file.columns.items()}
    if not any(hiding.values()):
        return {}
    there = {
        shape.qualified: {*(column.name for column in shape.columns), *shape.generated}
        for shape in read_shapes(source, file.source)
    }
    return {
        table: f"its source file masks or excludes {', '.join(gone)}, which was dropped or renamed; name it there as it is called "
        "now, or take it out where it was dropped, and `millrace cdc apply`"
        for table, names in hiding.items()
        if table in there and (gone := [name for name in names if name not in there[table]])
    }


def problems_of(found: Inspection, shape: Shape) -> list[str]:
    """What stands in the way of capturing one table as it is now."""
    name = re.compile(rf"(?<![\w.]){re.escape(shape.qualified)}(?!\w)|`columns\.{re.escape(shape.qualified)}[.`]")
    return [problem for problem in found.problems if name.search(problem)]


def park(state: psycopg.Connection[Any], table: engine_state.CapturedTable, problems: list[str]) -> bool:
    """Park a table that cannot be captured as it is now; returns whether it was not parked for that already."""
    reason = f"{'; '.join(problems)}; once that is mended the table is taken up again by itself"
    if reason == table.parked and not table.reshaping:
        return False
    log.error("%s is not followed any more: %s", table.shape.topic, reason)
    engine_state.park_table(state, table.shape, reason)
    return True


def _follow_table(
    table: engine_state.CapturedTable, now: Shape, found: Inspection, state: psycopg.Connection[Any], target: Client
) -> bool:
    before = table.shape
    altered = bool(before.mark) and (now.relation, now.mark) != (before.relation, before.mark)
    anew = reason_to_copy_anew(before, now)
    if (altered or anew or table.parked) and (problems := problems_of(found, now)):
        return park(state, table, problems)
    if anew is None and table.parked is not None:
        anew = "it can be followed again"
    if anew is not None:
        log.warning("%s: %s; its copy is made anew", before.topic, anew)
        engine_state.ask_to_reshape(
            state, before, f"{anew}: the keeper copies it anew; until then readers see it as it was"
        )
        failpoints.hit("shapes.recorded")
        return True
    todo = alteration(before, now)
    if todo.after == before and not altered and before.mark:
        return False
    for statement in raw_table.alter_statements(todo.after, todo.added, todo.dropped, todo.loosened):
        cluster.define(target, statement, raw_table.qualified(todo.after))
        failpoints.hit("shapes.column-altered")
    history.prepare(target, todo.after)
    with state.transaction():
        engine_state.capture_table(state, todo.after, table.targets)
        if altered or todo.words:
            log.info("%s: its columns were altered; %s", before.topic, todo.words or "they look the same")
            reason = f"its columns were altered: {todo.words or 'they look the same'} ({now.mark[:8]})"
            engine_state.ask_to_mend(state, todo.after, reason)
    failpoints.hit("shapes.recorded")
    return True
