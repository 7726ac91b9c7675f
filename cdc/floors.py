"""What of a table's changes is dead, also when it arrives later: what a TRUNCATE ended, what an append-only copy holds already, and
what is older than the erasure of its key (`cdc.erasures`).

TRUNCATE leaves a floor: everything of the table below its version is dead. It is raised by the sink that reads the TRUNCATE. The copy
of an append-only table (`cdc.backfill.append_only`) leaves the snapshot that it was read in: a streamed row whose transaction was
visible to it is in the copy. Both are settled once the sinks have passed a later position: until then a member that had not heard of
it may still bring such a change to life, so the sweep is made again then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from cdc.catalog import Shape
from cdc.erasures import Erasure, all_erasures

_XID = 0xFFFFFFFF


@dataclass(frozen=True)
class Floor:
    """The floor of a table (``name`` is schema.table); ``version`` is packed."""

    source: str
    name: str
    version: int
    settled: bool

    @property
    def swept(self) -> str:
        """Which of the rows below the version are dead, in ClickHouse's SQL."""
        return "1"


@dataclass(frozen=True)
class Snapshot:
    """What a copy holds: every version below ``stamp``, none from ``version`` on, and between them what the snapshot saw.

    Only between them are transaction numbers compared. A message has their last 32 bits, which come around again; that
    near to the snapshot they are told apart for certain. ``running``: those between ``xmin`` and ``xmax`` that it did not see.
    """

    source: str
    name: str
    stamp: int
    version: int
    xmin: int
    xmax: int
    running: tuple[int, ...]
    settled: bool = False

    def sees(self, transaction: str) -> str:
        """Whether the snapshot saw a transaction, by the number in its messages; in ClickHouse's SQL."""
        number = f"toUInt32({transaction})"
        running = ", ".join(f"toUInt32({each & _XID})" for each in self.running)
        return (
            f"(toInt32({number} - toUInt32({self.xmin & _XID})) < 0 OR (toInt32({number} - toUInt32({self.xmax & _XID})) < 0"
            + (f" AND {number} NOT IN ({running})))" if running else "))")
        )

    def holds(self, version: str, transaction: str) -> str:
        """Whether a streamed change is in the copy already, in ClickHouse's SQL."""
        return f"({version} < toUInt128('{self.stamp}') OR ({version} < toUInt128('{self.version}') AND {self.sees(transaction)}))"

    @property
    def swept(self) -> str:
        """Which of the rows below the version are dead, in ClickHouse's SQL."""
        return f"_copied = 0 AND {self.holds('_version', '_transaction')}"


@dataclass(frozen=True)
class Dead:
    """What of one table is to be left out."""

    floor: int = 0
    snapshot: Snapshot | None = None
    erased: tuple[Erasure, ...] = ()

    def alive(self, version: str, transaction: str, key: Sequence[str]) -> str:
        """Whether a streamed change is to be written, in ClickHouse's SQL; empty: every one is. ``key``: its columns' texts."""
        conditions = [f"{version} >= toUInt128('{self.floor}')"] if self.floor else []
        if self.snapshot is not None:
            conditions.append(f"NOT {self.snapshot.holds(version, transaction)}")
        conditions += [f"NOT {each.ends(version, key)}" for each in self.erased]
        return " AND ".join(conditions)


NOTHING = Dead()


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


def set_snapshot(state: psycopg.Connection[Any], snapshot: Snapshot) -> None:
    """Record what the table's copy holds, in place of what an earlier one held; durable on return."""
    state.execute(
        """
        INSERT INTO millrace.snapshots (source, name, stamp, version, seen_below, unseen_from, running)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (source, name) DO UPDATE
        SET (stamp, version, seen_below, unseen_from, running, set_at, settled_at) =
            (excluded.stamp, excluded.version, excluded.seen_below, excluded.unseen_from, excluded.running, now(), NULL)
        """,
        [
            snapshot.source, snapshot.name, snapshot.stamp, snapshot.version, snapshot.xmin, snapshot.xmax,
            list(snapshot.running),
        ],
    )  # fmt: skip


def all_floors(state: psycopg.Connection[Any], source: str | None = None) -> dict[tuple[str, str], Floor]:
    """Every table's floor, by (source, name); of one source where it is given."""
    rows = state.execute(
        "SELECT source, name, version, settled_at IS NOT NULL FROM millrace.floors WHERE %(s)s::text IS NULL OR source = %(s)s",
        {"s": source},
    )
    return {(row[0], row[1]): Floor(row[0], row[1], int(row[2]), row[3]) for row in rows}


def all_snapshots(state: psycopg.Connection[Any], source: str | None = None) -> dict[tuple[str, str], Snapshot]:
    """Every append-only table's snapshot, by (source, name); of one source where it is given."""
    rows = state.execute(
        """
        SELECT source, name, stamp, version, seen_below, unseen_from, running, settled_at IS NOT NULL FROM millrace.snapshots
        WHERE %(s)s::text IS NULL OR source = %(s)s
        """,
        {"s": source},
    )
    return {
        (row[0], row[1]): Snapshot(row[0], row[1], int(row[2]), int(row[3]), row[4], row[5], tuple(row[6]), row[7])
        for row in rows
    }


def all_dead(state: psycopg.Connection[Any]) -> dict[tuple[str, str], Dead]:
    """What is dead of every table that has something dead, by (source, name)."""
    floors, snapshots, erased = all_floors(state), all_snapshots(state), all_erasures(state)
    return {
        table: Dead(floors[table].version if table in floors else 0, snapshots.get(table), erased.get(table, ()))
        for table in floors.keys() | snapshots.keys() | erased.keys()
    }


def everything(state: psycopg.Connection[Any], source: str | None = None) -> list[Floor | Snapshot]:
    """All floors and snapshots; of one source where it is given."""
    return [*all_floors(state, source).values(), *all_snapshots(state, source).values()]


def settle(state: psycopg.Connection[Any], what: Floor | Snapshot) -> None:
    """Record that nothing that it ended can arrive any more; void when another has taken its place meanwhile."""
    table = "floors" if isinstance(what, Floor) else "snapshots"
    state.execute(
        f"UPDATE millrace.{table} SET settled_at = now() WHERE (source, name, version) = (%s, %s, %s)",
        [what.source, what.name, what.version],
    )
