"""Which of the captured tables are meant by the names that a person gives."""

from dataclasses import dataclass
from typing import Any

import psycopg

from cdc import state as engine_state
from cdc.catalog import Shape
from cdc.errors import ConfigurationError
from cdc.source_file import SourceFile
from cdc.state import SourceState


@dataclass(frozen=True)
class Chosen:
    """One applied source and those of its tables that were asked for."""

    file: SourceFile
    known: SourceState
    shapes: tuple[Shape, ...]
    parked: tuple[str, ...] = ()
    """Those that are not followed now, each with the reason; they are not among the shapes."""


def choose(state: psycopg.Connection[Any], sources: list[str] | None, tables: list[str] | None) -> list[Chosen]:
    """The tables that have a raw copy, by source.

    Args:
        state: the engine's state.
        sources: names of sources; None for all.
        tables: each ``table``, ``schema.table``, ``source.table`` or ``source.schema.table``; None for all.

    Raises:
        ConfigurationError: nothing captured has one of the names.
    """
    applied = engine_state.applied_sources(state)
    if unknown := sorted(set(sources or ()) - {file.source for file, _ in applied}):
        raise ConfigurationError(f"no source {unknown[0]} was applied; there are {_list(f.source for f, _ in applied)}")
    chosen: list[Chosen] = []
    met: set[str] = set()
    there: list[str] = []
    for file, known in applied:
        if sources is not None and file.source not in sources:
            continue
        captured = [t for t in engine_state.captured_tables(state, file.source) if "clickhouse" in t.targets]
        shapes = [t.shape for t in captured]
        there += [shape.topic for shape in shapes]
        met |= {name for shape in shapes for name in names_of(shape)}
        wanted = [t for t in captured if tables is None or names_of(t.shape) & set(tables)]
        followed = tuple(t.shape for t in wanted if t.parked is None)
        parked = tuple(f"{t.shape.topic}: {t.parked}" for t in wanted if t.parked is not None)
        chosen.append(Chosen(file, known, followed, parked))
    if unknown := sorted(set(tables or ()) - met):
        raise ConfigurationError(f"no captured table is called {unknown[0]}; there are {_list(there)}")
    return chosen


def names_of(shape: Shape) -> set[str]:
    """Everything that a person may call the table."""
    return {shape.table, shape.qualified, f"{shape.source}.{shape.table}", f"{shape.source}.{shape.qualified}"}


def _list(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"
