"""TRUNCATE leaves a floor: everything of the table below its version is dead, also what arrives later.

A floor is raised by the sink that reads the TRUNCATE. It is settled once the sinks have passed its position: until then another
partition, or a member that had not heard of it, may still bring an older change to life, so the sweep is made again then.
"""

from dataclasses import dataclass
from typing import Any

import psycopg

from cdc.catalog import Shape


@dataclass(frozen=True)
class Floor:
    """The floor of a table (``name`` is schema.table); ``version`` is packed."""

    source: str
    name: str
    version: int
    settled: bool


def raise_floor(state: psycopg.Connection[Any], shape: Shape, version: int) -> None:
    """Set the table's floor, unless a higher one is there; durable on return."""
    state.execute(
        """
        INSERT INTO millrace.floors AS f (source, name, version) VALUES (%s, %s, %s)
        ON CONFLICT (source, name) DO UPDATE SET version = excluded.version, set_at = now(), settled_at = NULL
        WHERE excluded.version > f.version
        """,
        [shape.source, shape.qualified, version],
    )


def all_floors(state: psycopg.Connection[Any], source: str | None = None) -> dict[tuple[str, str], Floor]:
    """Every table's floor, by (source, name); of one source where it is given."""
    rows = state.execute(
        "SELECT source, name, version, settled_at IS NOT NULL FROM millrace.floors WHERE %(s)s::text IS NULL OR source = %(s)s",
        {"s": source},
    )
    return {(row[0], row[1]): Floor(row[0], row[1], int(row[2]), row[3]) for row in rows}


def settle(state: psycopg.Connection[Any], floor: Floor) -> None:
    """Record that nothing below the floor can arrive any more; void when the floor was raised meanwhile."""
    state.execute(
        "UPDATE millrace.floors SET settled_at = now() WHERE (source, name, version) = (%s, %s, %s)",
        [floor.source, floor.name, floor.version],
    )
