"""Replays dead letters of raw tables: each is written again under its own version, by the way that the stream takes.

A newer change of the key that was written meanwhile still wins; what is refused again stays parked with its new reason.
"""

from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import dead_letters, floors
from cdc import state as engine_state
from cdc.catalog import Shape
from cdc.connect.connector import PLACEHOLDER
from cdc.dead_letters import DeadLetter
from cdc.floors import NOTHING
from cdc.sinks.clickhouse.changes import InsertKey, Row
from cdc.sinks.clickhouse.table_writer import TARGET, TableWriter
from cdc.sinks.clickhouse.writer import Waiting
from cdc.version import Version

_WRITER = "replay"
_PATIENCE = 60.0


def replay(state: psycopg.Connection[Any], clickhouse: Client, state_dsn: str, letters: list[DeadLetter]) -> int:
    """Replay these dead letters of raw tables; returns how many went through.

    Raises:
        TransientError: ClickHouse or a source is away; what was not replayed stays parked.
    """
    captured = {
        (t.shape.source, t.shape.qualified): t.shape
        for t in engine_state.captured_tables(state)
        if not t.reshaping  # its new copy supersedes what was refused in the former shape
    }
    dead = floors.all_dead(state)
    groups: dict[tuple[InsertKey, str, str, bool], list[DeadLetter]] = {}
    for letter in letters:
        shape = captured.get((letter.source, letter.name))
        if letter.target == TARGET and shape is not None:
            key = InsertKey(shape.topic, Version.unpack(letter.version).epoch, letter.moved)
            groups.setdefault((key, letter.source, letter.name, PLACEHOLDER in letter.body), []).append(letter)
    writer = TableWriter(clickhouse, state_dsn, Waiting(_PATIENCE))
    writer.leave_out_unknown = True  # what was parked long ago may hold columns that are gone
    replayed = 0
    try:
        for (key, source, name, absent), some in groups.items():
            write = writer.write_again if absent else writer.write
            rows = [Row(letter.key.encode(), letter.body.encode(), 0, 0) for letter in some]
            batch = engine_state.open_batch(state, _WRITER)
            shape = _still(state, captured[source, name])  # after the number: see `cdc.state.ask_to_reshape`
            if shape is None:
                engine_state.close_batch(state, batch)
                continue
            refused = write(shape, key, rows, batch, dead.get((source, name), NOTHING))
            engine_state.close_batch(state, batch)
            reasons = {(refusal.key, refusal.version): refusal.reason for refusal in refused}
            for letter in some:
                if reason := reasons.get((letter.key, letter.version)):
                    dead_letters.refused_again(state, letter, reason)
            through = [letter.id for letter in some if (letter.key, letter.version) not in reasons]
            replayed += dead_letters.resolve(state, through, "replayed")
    finally:
        writer.close()
    return replayed


def _still(state: psycopg.Connection[Any], shape: Shape) -> Shape | None:
    """The table's shape as it is recorded now; None while its copy is made anew."""
    tables = engine_state.captured_tables(state, shape.source)
    return next((t.shape for t in tables if t.shape.qualified == shape.qualified and not t.reshaping), None)
