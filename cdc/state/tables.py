"""The captured tables: in which shape each is followed, or why it is not, and what is asked of its copies.

Every change of what is followed raises the revision, by which sinks notice that what they know is old.
"""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from cdc.catalog import Shape
from cdc.state.batches import hold_batches


@dataclass(frozen=True)
class CapturedTable:
    """A table that is captured, with the shape the sinks write by."""

    shape: Shape
    targets: tuple[str, ...]
    backfilled: bool
    parked: str | None = None
    """Why it is not followed for the time being; None: it is."""
    mend: str | None = None
    """Why its copies are to be compared with the source and mended; None: nothing asks for it."""
    source_number: int = 0
    """Another one when the source was taken out and captured again: its topics are others then, under the same names."""
    reshaping: bool = False
    """Whether it is parked only until its copy has been made anew in its new shape, which the keeper does."""
    held_batch: int = 0
    """Batches up to this one may have been begun with the former shape."""


def captured_tables(state: psycopg.Connection[Any], source: str | None = None) -> list[CapturedTable]:
    """The captured tables of one source, or of all, by name."""
    with state.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            """
            SELECT t.shape, t.targets, t.parked, t.mend, s.number, t.reshaping, t.held_batch, EXISTS (
                SELECT FROM millrace.backfills b
                WHERE (b.source, b.name) = (t.source, t.name) AND b.finished_at IS NOT NULL) AS backfilled
            FROM millrace.tables t JOIN millrace.sources s USING (source) WHERE %(source)s::text IS NULL OR t.source = %(source)s
            ORDER BY t.source, t.name
            """,
            {"source": source},
        ).fetchall()
    return [
        CapturedTable(
            Shape.from_dict(row["shape"]),
            tuple(row["targets"]),
            row["backfilled"],
            row["parked"],
            row["mend"],
            row["number"],
            row["reshaping"],
            row["held_batch"],
        )
        for row in rows
    ]


def capture_table(state: psycopg.Connection[Any], shape: Shape, targets: tuple[str, ...]) -> None:
    """Record a table as captured, or replace its shape and targets; it is followed from now on."""
    with state.transaction():
        state.execute(
            """
            INSERT INTO millrace.tables (source, name, shape, targets) VALUES (%s, %s, %s, %s)
            ON CONFLICT (source, name) DO UPDATE
            SET shape = excluded.shape, targets = excluded.targets, parked = NULL, reshaping = false
            """,
            [shape.source, shape.qualified, Jsonb(shape.to_dict()), list(targets)],
        )
        raise_revision(state)


def turn_history(state: psycopg.Connection[Any], shape: Shape) -> int:
    """Record whether the history of a captured table is kept, as its shape says; returns the batch up to which a sink may not know.

    A copy that is under way, or was made, is forgotten where a history begins: it has written no log.
    """
    with state.transaction():
        held = hold_batches(state)
        state.execute(
            "UPDATE millrace.tables SET shape = shape || %s WHERE source = %s AND name = %s",
            [Jsonb({"history": shape.history}), shape.source, shape.qualified],
        )
        if shape.history:
            state.execute(
                "DELETE FROM millrace.backfills WHERE source = %s AND name = %s", [shape.source, shape.qualified]
            )
        raise_revision(state)
    return held


def release_table(state: psycopg.Connection[Any], shape: Shape) -> None:
    """Forget a table that is captured no longer; its raw table stays."""
    state.execute("DELETE FROM millrace.tables WHERE source = %s AND name = %s", [shape.source, shape.qualified])
    raise_revision(state)


def ask_to_mend(state: psycopg.Connection[Any], shape: Shape, reason: str) -> None:
    """Ask the keeper to compare a table's copies with the source and mend them."""
    state.execute(
        "UPDATE millrace.tables SET mend = %s WHERE source = %s AND name = %s", [reason, shape.source, shape.qualified]
    )


def mended(state: psycopg.Connection[Any], shape: Shape, reason: str) -> None:
    """Take back a request to mend, unless another has come since."""
    state.execute(
        "UPDATE millrace.tables SET mend = NULL WHERE source = %s AND name = %s AND mend = %s",
        [shape.source, shape.qualified, reason],
    )


def park_table(state: psycopg.Connection[Any], shape: Shape, reason: str) -> None:
    """Stop following a table, with the reason; the others go on, and its changes wait in their topic."""
    state.execute(
        "UPDATE millrace.tables SET parked = %s, reshaping = false WHERE source = %s AND name = %s",
        [reason, shape.source, shape.qualified],
    )
    raise_revision(state)


def ask_to_reshape(state: psycopg.Connection[Any], shape: Shape, reason: str) -> None:
    """Park a table until the keeper has made its copy anew; no batch that is opened after this is written in its shape."""
    with state.transaction():
        held = hold_batches(state)
        state.execute(
            "UPDATE millrace.tables SET parked = %s, reshaping = true, held_batch = %s WHERE source = %s AND name = %s",
            [reason, held, shape.source, shape.qualified],
        )
        raise_revision(state)


def revision(state: psycopg.Connection[Any]) -> int:
    """Another number after any change of what is followed and in which shape."""
    row = state.execute("SELECT number FROM millrace.revision").fetchone()
    assert row is not None
    return int(row[0])


def raise_revision(state: psycopg.Connection[Any]) -> None:
    """Have every sink look again at what is followed before it writes."""
    state.execute("UPDATE millrace.revision SET number = number + 1")


def record_proof(
    state: psycopg.Connection[Any], shape: Shape, target: str, lsn: int, rows: tuple[int, int], differing: int
) -> None:
    """Keep the outcome of one verification; ``rows`` is (source, target)."""
    state.execute(
        "INSERT INTO millrace.proofs (source, name, target, lsn, source_rows, target_rows, differing) VALUES (%s,%s,%s,%s,%s,%s,%s)",
        [shape.source, shape.qualified, target, lsn, *rows, differing],
    )
