"""What the engine's state keeps and the page shows beside the status: dead letters and the last proofs."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

SHOWN_LETTERS = 50
SHOWN_PROOFS = 12


@dataclass(frozen=True)
class Letter:
    """An open dead letter, without the change itself: that can be megabytes."""

    id: int
    target: str
    table: str
    key: str
    reason: str
    parked_at: datetime

    @property
    def can_be_replayed(self) -> bool:
        """Whether a replay writes it again: a document is read anew by a repair instead."""
        return self.target == "clickhouse"


@dataclass(frozen=True)
class Proof:
    """The outcome of one verification of a table."""

    table: str
    target: str
    proven_at: datetime
    source_rows: int
    target_rows: int
    differing: int


def letters(state: psycopg.Connection[Any]) -> list[Letter]:
    """The open dead letters that were parked last."""
    with state.cursor(row_factory=class_row(Letter)) as cursor:
        return cursor.execute(
            """
            SELECT id, target, source || '.' || name AS "table", left(key, 200) AS key, left(reason, 600) AS reason, parked_at
            FROM millrace.dead_letters WHERE resolved_at IS NULL ORDER BY id DESC LIMIT %s
            """,
            [SHOWN_LETTERS],
        ).fetchall()


def count_letters(state: psycopg.Connection[Any]) -> int:
    """How many dead letters are open."""
    row = state.execute("SELECT count(*) FROM millrace.dead_letters WHERE resolved_at IS NULL").fetchone()
    assert row is not None
    return int(row[0])


def proofs(state: psycopg.Connection[Any]) -> list[Proof]:
    """The verifications that were made last."""
    with state.cursor(row_factory=class_row(Proof)) as cursor:
        return cursor.execute(
            """
            SELECT source || '.' || name AS "table", target, proven_at, source_rows, target_rows, differing
            FROM millrace.proofs ORDER BY proven_at DESC LIMIT %s
            """,
            [SHOWN_PROOFS],
        ).fetchall()
