"""Checks a source against its database before anything is changed: what cannot be captured, and what to do about it."""

from dataclasses import dataclass
from typing import Any

import psycopg

from cdc.catalog import Shape, matching, read_shapes
from cdc.errors import ConfigurationError
from cdc.source_file import SourceFile
from cdc.types import clickhouse_type


@dataclass(frozen=True)
class Inspection:
    """What was found: the shapes that the file selects, and every reason against capturing them (one line each)."""

    shapes: tuple[Shape, ...]
    problems: tuple[str, ...]


def inspect(file: SourceFile, source: psycopg.Connection[Any]) -> Inspection:
    """Read the catalog and judge each selected table; nothing is changed."""
    everything = read_shapes(source, file.source)
    excluded = {shape.qualified for shape in matching(everything, file.exclude)}
    selected = tuple(shape for shape in matching(everything, file.tables) if shape.qualified not in excluded)
    problems = _server(file, source)
    for glob in file.tables:
        if not matching(everything, (glob,)):
            known = ", ".join(shape.qualified for shape in everything) or "none"
            problems.append(f"`tables`: nothing matches {glob!r}; the database has {known}")
    for shape in selected:
        problems += _table(shape)
    problems += _collisions(selected)
    return Inspection(selected, tuple(f"source {file.source}: {problem}" for problem in problems))


def _server(file: SourceFile, source: psycopg.Connection[Any]) -> list[str]:
    row = source.execute(
        """
        SELECT current_setting('wal_level'), r.rolreplication OR r.rolsuper, r.rolname::text,
               has_database_privilege(current_database(), 'CREATE'),
               (SELECT count(*) FROM pg_replication_slots WHERE slot_name <> %s) < current_setting('max_replication_slots')::int
        FROM pg_roles r WHERE r.rolname = current_user
        """,
        [file.slot],
    ).fetchone()
    assert row is not None
    level, may_replicate, role, may_create, slot_free = row
    problems = []
    if level != "logical":
        problems.append(f"the server runs with wal_level={level}; set wal_level=logical and restart it")
    if not may_replicate:
        problems.append(f"role {role} may not replicate; ALTER ROLE {role} REPLICATION")
    if not may_create:
        problems.append(f"role {role} may not create a publication; GRANT CREATE ON DATABASE ... TO {role}")
    if not slot_free:
        problems.append("no replication slot is free; raise max_replication_slots and restart the server")
    return problems


def _table(shape: Shape) -> list[str]:
    problems = []
    if not shape.key:
        problems.append(
            f"{shape.qualified} has no primary key, so its changes cannot be told apart; add one, or `exclude` the table"
        )
    if shape.deferrable_key:
        problems.append(
            f"{shape.qualified} has a deferrable primary key, which cannot identify changes; make it immediate, or `exclude` the table"
        )
    for column in shape.columns:
        try:
            clickhouse_type(column)
        except ConfigurationError as error:
            problems.append(f"{shape.qualified}: {error}")
    return problems


def _collisions(shapes: tuple[Shape, ...]) -> list[str]:
    problems = []
    for place, name in (("table", "raw_table"), ("topic", "topic")):
        owner: dict[str, Shape] = {}
        for shape in shapes:
            copy = getattr(shape, name)
            other = owner.setdefault(copy, shape)
            if other is not shape:
                problems.append(
                    f"{other.qualified} and {shape.qualified} would share the {place} {copy}; `exclude` one"
                )
    return problems
