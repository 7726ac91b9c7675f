"""Sends one body to one raw table, as often as it takes.

A retry sends the same bytes under the same deduplication token, so a first try that did land adds nothing. What ClickHouse
says is sorted into three: it cannot now (tried again), the rows do not fit the table (the caller decides which), the statement
itself is wrong.

A disk that runs full while a part is written can leave files of it empty although the insert is acknowledged (seen with 26.7).
So nothing is sent to a disk that is nearly full: ClickHouse refuses it beforehand, and it is tried again.
"""

import hashlib
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from cdc import failpoints
from cdc import state as engine_state
from cdc.catalog import Shape
from cdc.clickhouse import first_line
from cdc.errors import DataError, TransientError
from cdc.sinks.clickhouse import history
from cdc.sinks.clickhouse.passing import passes

KEEP_FREE = 256 << 20
"""Bytes that must be free for an insert: many times what all inserts at once can write, so that none meets the disk's end."""
# An element that a tuple does not have: in the one code if it comes beside all of the others, in the other if in place of one.
_UNKNOWN_FIELD = {117: "named tuple", 10: "Tuple doesn't have element with name"}
_CODE = re.compile(r"[Cc]ode:? (\d+)")
_ROW = re.compile(r"at row (\d+)")
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class RefusedRows(DataError):
    """ClickHouse refuses a body for what is in it; nothing of it was written.

    ``row`` is the number (from 0) of the row that it complains of, or None where it does not say.
    """

    def __init__(self, table: str, reason: str, code: int) -> None:
        super().__init__(f"ClickHouse refuses a change of {table}: {reason}")
        self.reason = reason
        self.code = code
        found = _ROW.search(reason)
        self.row = int(found[1]) - 1 if found else None

    @property
    def unknown_column(self) -> bool:
        """Whether a row holds a column that the table's recorded shape does not."""
        return self.code in _UNKNOWN_FIELD and _UNKNOWN_FIELD[self.code] in self.reason


@dataclass
class Waiting:
    """How long a writer waits for ClickHouse, and what it waits for.

    ``patience`` is in seconds (None: as long as it takes); ``stop`` ends a wait early; ``reason`` says why it waits now.
    """

    patience: float | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    reason: str | None = None


def send(
    clickhouse: Client,
    shape: Shape,
    statement: str,
    body: bytes,
    settings: dict[str, object],
    *,
    waiting: Waiting,
    unique_statement: bool = False,
    log_statement: str | None = None,
    log_first: bool = False,
) -> None:
    """Insert ``body`` into the raw table, and into its log where it has one; returns once the rows are visible.

    ``unique_statement``: no other body is ever sent with it, so that it can stand for the body in the deduplication token.
    ``log_statement``: what is done to the log, where that is not the same. ``log_first``: the statement reads the raw table that it
    changes. Otherwise the log comes second: it holds nothing that the raw table refuses.

    Raises:
        TransientError: ClickHouse did not take it in time, or the wait was stopped; whether it was written is unknown.
        RefusedRows: it refuses the content.
    """
    statements = [statement]
    if shape.history:
        statements.append(log_statement or history.statement_into_log(shape, statement))
    for number, each in enumerate(reversed(statements) if log_first else statements):
        if number:
            failpoints.hit("history.between")
        _send(clickhouse, shape, each, body, settings, waiting=waiting, unique_statement=unique_statement)


def _send(
    clickhouse: Client,
    shape: Shape,
    statement: str,
    body: bytes,
    settings: dict[str, object],
    *,
    waiting: Waiting,
    unique_statement: bool,
) -> None:
    digest = hashlib.blake2b(b"" if unique_statement else body, digest_size=16)
    digest.update(statement.encode())
    with_token = settings | {
        "insert_deduplication_token": digest.hexdigest(),
        "min_free_disk_bytes_to_perform_insert": KEEP_FREE,
    }
    began, pause = time.monotonic(), _FIRST_PAUSE
    while True:
        try:
            clickhouse.command(statement, data=body or None, settings=with_token)
            waiting.reason = None
            return
        except OperationalError as error:
            reason = first_line(error)
        except DatabaseError as error:
            reason = first_line(error)
            found = _CODE.search(reason)
            code = int(found[1]) if found else 0
            if not passes(code, reason):
                waiting.reason = None
                raise RefusedRows(shape.topic, reason, code) from error
        waiting.reason = f"ClickHouse does not take changes of {shape.topic}: {reason}"
        waited = time.monotonic() - began
        if waiting.patience is not None and waited + pause > waiting.patience:
            raise TransientError(f"{waiting.reason} (tried for {waited:.0f} s)")
        if waiting.stop.wait(pause):
            raise TransientError(waiting.reason)
        pause = min(pause * 2, _LONGEST_PAUSE)


def insert(
    clickhouse: Client,
    state: psycopg.Connection[object],
    writer: str,
    shape: Shape,
    body: bytes,
    statement: Callable[[int], str],
    settings: dict[str, object],
    *,
    patience: float,
    log_statement: Callable[[int], str] | None = None,
    log_first: bool = False,
) -> int:
    """Insert ``body`` under a batch number of its own; return that number once the rows are visible. The statement must
    hold the number, and a version that grows should numbers ever begin anew. The rest is `send`'s.

    Raises:
        TransientError, RefusedRows: as `send`; the number is closed where nothing was written.
    """
    batch = engine_state.open_batch(state, writer)
    try:
        send(
            clickhouse,
            shape,
            statement(batch),
            body,
            settings,
            waiting=Waiting(patience),
            unique_statement=True,
            log_statement=log_statement(batch) if log_statement else None,
            log_first=log_first,
        )
    except RefusedRows:
        engine_state.close_batch(state, batch)
        raise
    engine_state.close_batch(state, batch)
    return batch
