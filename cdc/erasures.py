"""Which keys were erased, as kept in the engine's state: their changes below a version are dead, whenever they come.

Kafka holds the changes of an erased row until its retention ends, and a sink may be made to read them again. Each sink
therefore leaves them out, as it does what a TRUNCATE ended (`cdc.floors`). What the source does with the key later has a
higher version, and is taken as any other change.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from cdc import state as engine_state
from cdc.catalog import Shape

REMEMBERED = "8 days"
"""Longer than any topic of ours holds a change."""


@dataclass(frozen=True)
class Erasure:
    """One erased key of a table (``name`` is schema.table), in the spelling of proofs; ``version`` is packed. ``erased_at``:
    when its rows were deleted last."""

    source: str
    name: str
    key: tuple[str, ...]
    version: int
    erased_at: datetime

    def ends(self, version: str, key: Sequence[str]) -> str:
        """Whether it ends a change of this version and key (a text for each column), in ClickHouse's SQL."""
        texts = ", ".join(_literal(text) for text in self.key)
        return f"(({', '.join(key)}) = ({texts}) AND {version} < toUInt128('{self.version}'))"

    def ends_message(self, version: int, key: Iterable[Any]) -> bool:
        """Whether it ends a change with these values in its message's key."""
        return version < self.version and tuple(str(value) for value in key) == self.key


def record(state: psycopg.Connection[Any], shape: Shape, key: Sequence[str], version: int) -> tuple[Erasure, int]:
    """Remember an erasure; durable on return. A former one of the key is replaced.

    Returns:
        The erasure, and the batch up to which a sink may write without knowing of it.
    """
    with state.transaction():
        held = engine_state.hold_batches(state)
        row = state.execute(
            """
            INSERT INTO millrace.erasures (source, name, key, version) VALUES (%s, %s, %s, %s)
            ON CONFLICT (source, name, key) DO UPDATE SET version = excluded.version, erased_at = now(), settled_at = NULL
            RETURNING erased_at
            """,
            [shape.source, shape.qualified, list(key), version],
        ).fetchone()
        engine_state.raise_revision(state)
    assert row is not None
    return Erasure(shape.source, shape.qualified, tuple(key), version, row[0]), held


def deleted(state: psycopg.Connection[Any], erasure: Erasure) -> None:
    """Record that its rows were deleted just now."""
    state.execute(f"UPDATE millrace.erasures SET erased_at = now() WHERE {_THIS}", _this(erasure))


def all_erasures(state: psycopg.Connection[Any]) -> dict[tuple[str, str], tuple[Erasure, ...]]:
    """Every erasure that is remembered, by (source, schema.table)."""
    found: dict[tuple[str, str], tuple[Erasure, ...]] = {}
    for each in _read(state, "true"):
        found[each.source, each.name] = (*found.get((each.source, each.name), ()), each)
    return found


def unsettled(state: psycopg.Connection[Any], age: str) -> list[Erasure]:
    """Those older than ``age`` (an interval) after which nobody has looked again."""
    return _read(state, "settled_at IS NULL AND erased_at < now() - %s::interval", age)


def settle(state: psycopg.Connection[Any], erasure: Erasure) -> None:
    """Record that nothing below it is left, and that everybody who writes knows of it."""
    state.execute(f"UPDATE millrace.erasures SET settled_at = now() WHERE {_THIS}", _this(erasure))


def forget(state: psycopg.Connection[Any]) -> None:
    """Drop what no topic can bring back any more, and with it the keys themselves."""
    state.execute(
        "DELETE FROM millrace.erasures WHERE settled_at IS NOT NULL AND erased_at < now() - %s::interval", [REMEMBERED]
    )


@dataclass(frozen=True)
class _Row:
    source: str
    name: str
    key: list[str]
    version: int
    erased_at: datetime


_THIS = "(source, name, key, version) = (%s, %s, %s, %s)"


def _this(erasure: Erasure) -> list[object]:
    return [erasure.source, erasure.name, list(erasure.key), erasure.version]


def _read(state: psycopg.Connection[Any], condition: str, *parameters: object) -> list[Erasure]:
    with state.cursor(row_factory=class_row(_Row)) as cursor:
        rows = cursor.execute(
            f"SELECT source, name, key, version, erased_at FROM millrace.erasures WHERE {condition} ORDER BY erased_at",
            parameters,
        ).fetchall()
    return [Erasure(row.source, row.name, tuple(row.key), int(row.version), row.erased_at) for row in rows]


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
