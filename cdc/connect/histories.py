"""Of which tables a history is kept: what the source file asks for, judged, and turned on and off for tables that are captured.

A history that begins with a table that is captured already takes a new copy of it: its rows are the first known versions. The copy's
fence is raised when nobody writes any more who does not know of the log, so no version above it is missing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import state as engine_state
from cdc.catalog import Shape, matching
from cdc.sinks.clickhouse import history
from cdc.sinks.clickhouse.history import log_table
from cdc.source_file import SourceFile
from cdc.waiting import wait_until

_PATIENCE = 60.0


def history_problems(file: SourceFile, shapes: tuple[Shape, ...]) -> list[str]:
    """What stands in the way of the histories that the file asks for, of the tables that it captures."""
    problems = [
        f"`history`: no captured table matches {glob!r}" for glob in file.history if not matching(list(shapes), (glob,))
    ]
    if file.history and "clickhouse" not in file.targets:
        problems.append("`history` is kept in ClickHouse; add it to `targets`")
    problems += [
        f"`history`: {shape.qualified} is append_only, so its copy keeps every row as it is; leave it out"
        for shape in shapes
        if shape.history and shape.append_only
    ]
    owners = {shape.raw_table: shape for shape in shapes}
    problems += [
        f"`history`: the log of {shape.qualified} and the copy of {other.qualified} would share the name {log_table(shape)}; "
        "`exclude` one"
        for shape in shapes
        if shape.history and (other := owners.get(log_table(shape)))
    ]
    return problems


def turned(
    shapes: Iterable[Shape],
    captured: Mapping[str, engine_state.CapturedTable],
    tables: set[tuple[str, str]],
    purge: Mapping[Shape, str],
) -> tuple[tuple[Shape, ...], tuple[Shape, ...]]:
    """Of which tables every version is kept from now on, and of which no longer; ``tables`` are ClickHouse's (database, name)."""
    kept = {name for name, table in captured.items() if table.shape.history}
    begin = [
        shape
        for shape in shapes
        if shape.history
        and (shape.qualified not in kept or (shape.raw_database, log_table(shape)) not in tables or shape in purge)
    ]
    return tuple(begin), tuple(shape for shape in shapes if not shape.history and shape.qualified in kept)


def turn(source: str, shapes: Iterable[Shape], state: psycopg.Connection[Any], target: Client) -> int:
    """Begin and end the histories of captured tables, as the shapes say; returns the batch up to which a sink may not know of it.

    Where one begins the table counts as not copied from that moment on.
    """
    wanted = {shape.qualified: shape.history for shape in shapes}
    held = 0
    for table in engine_state.captured_tables(state, source):
        shape = replace(table.shape, history=wanted.get(table.shape.qualified, table.shape.history))
        if shape.history != table.shape.history or (shape.history and not history.there(target, shape)):
            history.prepare(target, shape)
            held = max(held, engine_state.turn_history(state, shape))
    return held


def wait_for_writers(state: psycopg.Connection[Any], held: int) -> None:
    """Return when nobody writes any more who took his batch before that one, and may not know of a history that began.

    Raises:
        TransientError: somebody does, after a minute.
    """

    def writers() -> str:
        return ", ".join(engine_state.held_open(state, held))

    wait_until(
        lambda: not writers(),
        _PATIENCE,
        lambda: f"{writers()} may still write without the history that begins; apply again once it has written",
    )
