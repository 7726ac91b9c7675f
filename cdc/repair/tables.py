"""Repair of raw tables: key by key where few differ, a resync of the table where many do."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import source_database
from cdc import state as engine_state
from cdc.backfill import jobs
from cdc.backfill.copy import Progress, backfill, writer_name
from cdc.captured import Chosen, choose
from cdc.catalog import Shape
from cdc.kafka import Kafka
from cdc.repair.keys import mend
from cdc.settings import settings
from cdc.verify.comparing import MOST_DIFFERING, Comparison, PassNow, Sides, confirm
from cdc.verify.tables import (
    Say,
    TableProof,
    compare_table,
    compare_tables,
    parts,
    pass_now,
    proof_of,
    record,
    without_parked,
)

FEW = 1_000
"""A table with no more differing keys than this is mended key by key, however small it is."""
SHARE = 0.1
"""A larger table is copied whole when more than this share of its rows differ."""


@dataclass(frozen=True)
class MendedTable:
    """What became of one table: how many keys differed, how many rows were copied again and how many ended, whether the
    whole table was copied; and the proof taken afterwards."""

    proof: TableProof
    differing: int = 0
    copied: int = 0
    ended: int = 0
    resynced: bool = False


def repair_tables(
    sources: list[str] | None = None,
    tables: list[str] | None = None,
    *,
    patience: float = 120.0,
    say: Say = lambda *_: None,
    progress: Progress = lambda *_: None,
) -> list[MendedTable]:
    """Verify captured tables and mend those that differ from their source.

    Args:
        sources: names of sources; None for all.
        tables: names as `cdc.captured.choose` takes them; None for all.
        patience: seconds to wait for the sinks to pass each position.
        say: told (table, what is done with it now).
        progress: told of a table that is copied whole, see `cdc.backfill.copy.Progress`.

    Raises:
        PermanentError: a copy holds versions that its source cannot have written: the epoch must be raised first.
        CdcError: a check or a copy could not be made; what was mended before stays mended, and calling again goes on.
    """
    with parts() as (state, kafka, target):
        return [
            mended
            for chosen in choose(state, sources, tables)
            for mended in _repair_source(chosen, state, kafka, target, patience, say, progress)
        ]


def _repair_source(
    chosen: Chosen,
    state: psycopg.Connection[Any],
    kafka: Kafka,
    target: Client,
    patience: float,
    say: Say,
    progress: Progress,
) -> Iterator[MendedTable]:
    with source_database.connect(chosen.file) as source:
        for shape, found in compare_tables(chosen, state, source, kafka, target, patience, say):
            again = partial(pass_now, chosen, source, kafka, [shape.topic], patience)
            if not found.differing:
                mended = MendedTable(proof_of(shape, found))
            elif shape.append_only or _many(found):
                say(shape.topic, f"copying the whole table: {len(found.differing):,} keys or more differ")
                mended = _resync(chosen, shape, found, state, source, target, again, patience, say, progress)
            else:
                say(shape.topic, f"mending {len(found.differing):,} keys")
                mended = _mend(chosen, shape, found, state, source, target, again, patience, say)
            record(state, target, shape, mended.proof)
            yield mended


def _many(found: Comparison) -> bool:
    differing = len(found.differing)
    return differing >= MOST_DIFFERING or (differing > FEW and differing > SHARE * found.rows)


def _resync(
    chosen: Chosen,
    shape: Shape,
    found: Comparison,
    state: psycopg.Connection[Any],
    source: psycopg.Connection[Any],
    target: Client,
    again: PassNow,
    patience: float,
    say: Say,
    progress: Progress,
) -> MendedTable:
    dsn = settings().millrace_state_dsn
    [copied] = backfill(chosen.file, [shape], chosen.known.epoch, dsn, target, progress, anew=True)
    with source_database.reading(chosen.file, shape.qualified):
        proven = compare_table(chosen, shape, state, source, target, again(), again, patience, say)
    proof = proof_of(shape, without_parked(proven, shape, state, source))
    return MendedTable(proof, len(found.differing) + found.surplus, copied.rows, copied.ended, resynced=True)


def _mend(
    chosen: Chosen,
    shape: Shape,
    found: Comparison,
    state: psycopg.Connection[Any],
    source: psycopg.Connection[Any],
    target: Client,
    again: PassNow,
    patience: float,
    say: Say,
) -> MendedTable:
    sides = Sides(chosen.file, shape, source, target)
    with jobs.claimed(state, [shape]), source_database.reading(chosen.file, shape.qualified):
        engine_state.close_abandoned(state, writer_name(shape))
        copied, ended = mend(sides, found.differing, chosen.known.epoch, state)
        proven = confirm(sides, found.differing, found.rows, found.lsn, again, patience, partial(say, shape.topic))
    return MendedTable(proof_of(shape, replace(proven, parked=found.parked)), len(found.differing), copied, ended)
