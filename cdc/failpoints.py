"""Named places at which a process can be made to end itself by SIGKILL, between two steps that a crash could tear apart.

They are off unless the state's table `failpoints` names them; a process looks there when it starts and now and then, so that a
place which is off costs a look into an empty set.
"""

import os
import signal
from typing import Any

import psycopg

NAMES = (
    "sink.consumed",
    "sink.inserted",
    "sink.parked",
    "sink.floor-raised",
    "sink.swept",
    "sink.closed",
    "sink.committed",
    "documents.consumed",
    "documents.read",
    "documents.written",
    "documents.committed",
    "reindex.begun",
    "reindex.created",
    "reindex.loaded-some",
    "reindex.verified",
    "reindex.given",
    "backfill.fence-raised",
    "backfill.range-inserted",
    "backfill.copied",
    "backfill.staged",
    "backfill.snapshot-recorded",
    "backfill.exchanged",
    "repair.rows-copied",
    "shapes.column-altered",
    "shapes.recorded",
    "shapes.copied",
    "shapes.exchanged",
    "history.between",
    "history.altered",
    "epoch.begun",
    "epoch.connector-removed",
    "epoch.slot-created",
    "epoch.line-changed",
)

_armed: set[str] = set()
_where = {"dsn": ""}


def arm(state: psycopg.Connection[Any]) -> None:
    """Learn which places are on."""
    rows = state.execute("SELECT name FROM millrace.failpoints WHERE left_over > 0").fetchall()
    _where["dsn"] = f"{state.info.dsn} password={state.info.password}"
    _armed.clear()
    _armed.update(row[0] for row in rows)


def hit(name: str) -> None:
    """End this process here if the place is on and has not been used up."""
    if name in _armed:
        _take(name)


def _take(name: str) -> None:
    with psycopg.connect(_where["dsn"], autocommit=True) as state:
        taken = state.execute(
            "UPDATE millrace.failpoints SET left_over = left_over - 1, hits = hits + 1 WHERE name = %s AND left_over > 0",
            [name],
        ).rowcount
    if taken:
        os.kill(os.getpid(), signal.SIGKILL)
