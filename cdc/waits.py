"""What a sink waits for, kept in the engine's state: the sink knows the reason, and a status asked elsewhere should say it."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row

_OUTDATED = "30 seconds"  # a process that has died says nothing more; a living one says it every few seconds


@dataclass(frozen=True)
class Wait:
    """A member of a target's sinks that waits; ``seconds`` since it began to."""

    member: str
    target: str
    reason: str
    seconds: float


def begin(state: psycopg.Connection[Any], member: str, target: str, reason: str) -> None:
    """Tell that a member waits, or still waits."""
    state.execute(
        """
        INSERT INTO millrace.waits (member, target, reason) VALUES (%s, %s, %s)
        ON CONFLICT (member) DO UPDATE SET reason = excluded.reason, told_at = now()
        """,
        [member, target, reason],
    )


def end(state: psycopg.Connection[Any], member: str) -> None:
    """Tell that a member waits no more."""
    state.execute("DELETE FROM millrace.waits WHERE member = %s", [member])


def current(state: psycopg.Connection[Any]) -> list[Wait]:
    """Who waits now, the longest first."""
    with state.cursor(row_factory=class_row(Wait)) as cursor:
        return cursor.execute(
            """
            SELECT member, target, reason, extract(epoch FROM now() - since)::float8 AS seconds FROM millrace.waits
            WHERE told_at > now() - %s::interval ORDER BY since
            """,
            [_OUTDATED],
        ).fetchall()
