"""Checks a source against its database before anything is changed: what cannot be captured, and what to do about it."""

from dataclasses import dataclass, replace
from typing import Any

import psycopg

from cdc.catalog import Shape, matching, read_shapes
from cdc.connect.histories import history_problems
from cdc.connect.identity import identity_problems
from cdc.connect.rights import server_problems, table_problems
from cdc.errors import ConfigurationError
from cdc.invalidation.problems import problems as invalidation_problems
from cdc.source_file import SourceFile
from cdc.types import clickhouse_type

COLUMN_LISTS = 150000
"""Server version from which a publication can leave out columns."""


@dataclass(frozen=True)
class Inspection:
    """What was found: the shapes that the file selects, and every reason against capturing them (one line each)."""

    shapes: tuple[Shape, ...]
    problems: tuple[str, ...]


def inspect(file: SourceFile, source: psycopg.Connection[Any]) -> Inspection:
    """Read the catalog and judge each selected table; nothing is changed."""
    everything = read_shapes(source, file.source, file.columns)
    selected = select(file, everything)
    problems = server_problems(file, source)
    for glob in file.tables:
        if not matching(everything, (glob,)):
            known = ", ".join(shape.qualified for shape in everything) or "none"
            problems.append(f"`tables`: nothing matches {glob!r}; the database has {known}")
    problems += _declared_for_nothing(file, source, selected)
    problems += invalidation_problems(file.invalidate, selected, [shape.qualified for shape in everything])
    problems += history_problems(file, selected)
    for shape in selected:
        wishes = file.columns.get(shape.qualified)
        problems += identity_problems(source, shape, declared=wishes is not None and bool(wishes.key))
        problems += table_problems(file, source, shape)
        problems += _column_problems(file, source, shape)
    problems += _collisions(selected)
    return Inspection(selected, tuple(f"source {file.source}: {problem}" for problem in problems))


def select(file: SourceFile, everything: list[Shape]) -> tuple[Shape, ...]:
    """The tables that the file names and does not exclude."""
    excluded = {shape.qualified for shape in matching(everything, file.exclude)}
    kept = {shape.qualified for shape in matching(everything, file.history)}
    return tuple(
        replace(shape, history=shape.qualified in kept)
        for shape in matching(everything, file.tables)
        if shape.qualified not in excluded
    )


def _declared_for_nothing(file: SourceFile, source: psycopg.Connection[Any], shapes: tuple[Shape, ...]) -> list[str]:
    """What the part ``columns:`` names and the captured tables do not have."""
    problems = []
    plain = {shape.qualified: shape for shape in read_shapes(source, file.source)}
    captured = {shape.qualified for shape in shapes}
    for table, wishes in file.columns.items():
        if table not in captured:
            reason = "is not captured" if table in plain else "does not exist"
            problems.append(f"`columns.{table}`: the table {reason}")
            continue
        shape = plain[table]
        known = [column.name for column in shape.columns]
        for part, names in (
            ("types", wishes.types),
            ("key", wishes.key),
            ("exclude", wishes.exclude),
            ("mask", wishes.mask),
        ):
            for name in names:
                if name not in known and not (part == "exclude" and name in shape.generated):
                    kind = (
                        "is generated" if name in shape.generated else f"does not exist; there are {', '.join(known)}"
                    )
                    problems.append(f"`columns.{table}.{part}`: the column {name} {kind}")
    return problems


def _column_problems(file: SourceFile, source: psycopg.Connection[Any], shape: Shape) -> list[str]:
    problems = []
    for column in shape.columns:
        try:
            clickhouse_type(column)
        except ConfigurationError as error:
            part = "types" if column.mask is None else "mask"
            problems.append(f"`columns.{shape.qualified}.{part}`: {error}")
    if any("money" in (column.type, column.element) for column in shape.columns):
        problems += _money_problems(source, shape)
    wishes = file.columns.get(shape.qualified)
    if wishes is not None and wishes.exclude:
        if source.info.server_version < COLUMN_LISTS:
            problems.append(f"`columns.{shape.qualified}.exclude` needs PostgreSQL 15 or newer")
        elif shape.replica_identity == "full":
            problems.append(
                f"`columns.{shape.qualified}.exclude`: {shape.qualified} has REPLICA IDENTITY FULL, and PostgreSQL would refuse its "
                "updates while a column of that is not published; use the primary key or an index instead, or mask the column "
                "by `redact`"
            )
    if masked := [name for name in shape.key if wishes is not None and name in wishes.mask]:
        problems.append(
            f"`columns.{shape.qualified}.mask`: {', '.join(masked)} of the key cannot be masked, as rows are known by it"
        )
    return problems


def _money_problems(source: psycopg.Connection[Any], shape: Shape) -> list[str]:
    row = source.execute("SELECT 1234.5::numeric::money::text, current_setting('lc_monetary')").fetchone()
    assert row is not None
    if row[0] == "$1,234.50":
        return []
    return [f"{shape.qualified}: money is written {row[0]} here (lc_monetary {row[1]}); only $1,234.50 is understood"]


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
