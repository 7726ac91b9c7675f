"""Dead letters: changes that a target refused, kept with key, reason and version until they are resolved.

One is resolved when a higher version of its key was written (superseded: never by later arrival alone), when a replay went
through, or when a person dropped it. What cannot be parked stops the sink instead.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from cdc.state import raise_revision


@dataclass(frozen=True)
class Refusal:
    """A change to be parked. ``name`` is the table (``schema.table``) or the index, ``key`` the message's key or the document's id."""

    target: str
    source: str
    name: str
    key: str
    version: int
    moved: bool
    body: str
    reason: str
    place: str


@dataclass(frozen=True)
class DeadLetter(Refusal):
    """A parked change."""

    id: int
    parked_at: datetime
    outcome: str | None


_COLUMNS = "id, target, source, name, key, version, moved, body, reason, place, parked_at, outcome"


def park(state: psycopg.Connection[Any], refusals: Iterable[Refusal]) -> None:
    """Keep the refused changes; durable on return. One that was parked before, whatever became of it, is left as it is.

    Every sink learns of them before it next resolves anything: the revision is raised.
    """
    with state.transaction(), state.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO millrace.dead_letters (target, source, name, key, version, moved, body, reason, place)
            VALUES (%(target)s, %(source)s, %(name)s, %(key)s, %(version)s, %(moved)s, %(body)s, %(reason)s, %(place)s)
            ON CONFLICT (target, source, name, md5(key), version) DO NOTHING
            """,
            [vars(refusal) for refusal in refusals],
        )
        raise_revision(state)


def open_keys(state: psycopg.Connection[Any], target: str) -> dict[tuple[str, str], set[str]]:
    """The keys with open dead letters, by (source, name)."""
    found: dict[tuple[str, str], set[str]] = {}
    rows = state.execute(
        "SELECT DISTINCT source, name, key FROM millrace.dead_letters WHERE target = %s AND resolved_at IS NULL",
        [target],
    )
    for source, name, key in rows:
        found.setdefault((source, name), set()).add(key)
    return found


def supersede(
    state: psycopg.Connection[Any], target: str, source: str, name: str, written: Iterable[tuple[str, int]]
) -> int:
    """Resolve what lies below the version written of its key; ``written`` is (key, version). Returns how many."""
    with state.cursor() as cursor:
        cursor.executemany(
            """
            UPDATE millrace.dead_letters SET resolved_at = now(), outcome = 'superseded'
            WHERE (target, source, name, key) = (%s, %s, %s, %s) AND version < %s AND resolved_at IS NULL
            """,
            [(target, source, name, key, version) for key, version in written],
        )
        return cursor.rowcount


def supersede_below(state: psycopg.Connection[Any], target: str, source: str, name: str, version: int) -> None:
    """Resolve every dead letter of a table that was written whole at this version (a resync), or truncated at it."""
    state.execute(
        """
        UPDATE millrace.dead_letters SET resolved_at = now(), outcome = 'superseded'
        WHERE (target, source, name) = (%s, %s, %s) AND version < %s AND resolved_at IS NULL
        """,
        [target, source, name, version],
    )


def listed(
    state: psycopg.Connection[Any], *, table: str | None = None, ids: list[int] | None = None, everything: bool = False
) -> list[DeadLetter]:
    """Open dead letters in the order of their versions; of one table or index (``source.name``), or those with the ids."""
    with state.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            f"""
            SELECT {_COLUMNS} FROM millrace.dead_letters
            WHERE (resolved_at IS NULL OR %(everything)s)
              AND (%(table)s::text IS NULL OR %(table)s IN (source || '.' || name, name))
              AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s))
            ORDER BY version, id
            """,
            {"everything": everything, "table": table, "ids": ids},
        ).fetchall()
    return [DeadLetter(**row | {"version": int(row["version"])}) for row in rows]


def resolve(state: psycopg.Connection[Any], ids: list[int], outcome: str) -> int:
    """Mark open dead letters as replayed or dropped; returns how many were open."""
    return state.execute(
        "UPDATE millrace.dead_letters SET resolved_at = now(), outcome = %s WHERE id = ANY(%s) AND resolved_at IS NULL",
        [outcome, ids],
    ).rowcount


def refused_again(state: psycopg.Connection[Any], letter: DeadLetter, reason: str) -> None:
    """Keep the newest reason of a dead letter whose replay was refused."""
    state.execute("UPDATE millrace.dead_letters SET reason = %s WHERE id = %s", [reason, letter.id])


def forget_resolved(state: psycopg.Connection[Any]) -> None:
    """Delete what was resolved a week ago: no topic can bring it again, and its body holds a row."""
    state.execute("DELETE FROM millrace.dead_letters WHERE resolved_at < now() - interval '7 days'")


def delete_all(state: psycopg.Connection[Any], source: str, name: str) -> None:
    """Delete everything that was ever parked of a table."""
    state.execute("DELETE FROM millrace.dead_letters WHERE (source, name) = (%s, %s)", [source, name])
