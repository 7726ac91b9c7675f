"""Writes one batch to one raw table: takes its number, inserts, closes the number.

A retry of a batch sends the same bytes under the same deduplication token, so a first try that did land adds nothing.
"""

import hashlib
import time
from collections.abc import Callable

import psycopg
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from cdc import state as engine_state
from cdc.catalog import Shape
from cdc.clickhouse import first_line
from cdc.errors import DataError, TransientError

# Codes of ClickHouse that say "later", not "never": timeouts, overload, shutdown, too many parts.
_TRANSIENT_CODES = (159, 160, 202, 209, 210, 241, 242, 252, 319, 394, 439)
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


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
) -> int:
    """Insert ``body`` with the statement made for a new batch number; return that number once the rows are visible.

    Raises:
        TransientError: ClickHouse did not take it within ``patience`` seconds; nothing is known to be lost.
        DataError: ClickHouse refuses the content; nothing of the batch was written.
    """
    batch = engine_state.open_batch(state, writer)
    token = hashlib.blake2b(body, digest_size=16, person=str(batch).encode()[:16]).hexdigest()
    deadline = time.monotonic() + patience
    pause = _FIRST_PAUSE
    while True:
        try:
            clickhouse.command(statement(batch), data=body, settings=settings | {"insert_deduplication_token": token})
            break
        except OperationalError as error:
            reason = first_line(error)
        except DatabaseError as error:
            reason = first_line(error)
            if not any(f"Code: {code}." in reason or f"code {code}" in reason.lower() for code in _TRANSIENT_CODES):
                engine_state.close_batch(state, batch)
                raise DataError(f"ClickHouse refuses a batch of {shape.topic}: {reason}") from error
        if time.monotonic() + pause > deadline:
            raise TransientError(f"ClickHouse did not take a batch of {shape.topic} for {patience:g} s: {reason}")
        time.sleep(pause)  # backoff between tries of a target that is away, not a wait for a condition
        pause = min(pause * 2, _LONGEST_PAUSE)
    engine_state.close_batch(state, batch)
    return batch
