"""Verification of raw tables: every captured table against its copy, each outcome recorded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import clickhouse, dead_letters, message_keys, source_database
from cdc import state as engine_state
from cdc.captured import Chosen, choose
from cdc.catalog import Shape
from cdc.errors import PermanentError
from cdc.kafka import Kafka
from cdc.settings import settings
from cdc.sinks.clickhouse import watermark
from cdc.sinks.positions import CLICKHOUSE_GROUP
from cdc.verify import multiset
from cdc.verify.checksum import Key
from cdc.verify.clamped import clamped_values
from cdc.verify.comparing import Comparison, PassNow, Sides, compare
from cdc.verify.passed import wait_until_passed

_MOST_KEYS_NAMED = 100

Say = Callable[[str, str], None]
"""Called with (table, what is done with it now)."""


@dataclass(frozen=True)
class TableProof:
    """Outcome for one table. ``lsn``: the source position that the copy was shown to have passed.

    ``differing_keys`` names at most 100 of the ``differing`` keys, each as the texts of its key columns; when more than
    100,000 differ, ``differing`` is how many of them were looked at. Of an append-only table a key is a whole row, and a row that
    one side has twice more often counts twice.
    """

    source: str
    table: str
    rows_source: int
    rows_target: int
    lsn: int
    differing: int
    differing_keys: tuple[Key, ...]
    parked: int = 0
    """Keys with open dead letters: known not to be equal, and not among the differing ones."""
    clamped: int = 0
    """Values that the copy holds at a limit, as the source file declares."""

    @property
    def equal(self) -> bool:
        """Whether every column of every row is the same on both sides."""
        return self.differing == 0 and self.parked == 0


def captured_tables() -> list[tuple[str, str, str]]:
    """(source, schema, table) of everything that is captured now."""
    with engine_state.connect(settings().millrace_state_dsn) as state:
        return [(t.shape.source, t.shape.schema, t.shape.table) for t in engine_state.captured_tables(state)]


def verify_tables(
    sources: list[str] | None = None,
    tables: list[str] | None = None,
    *,
    patience: float = 120.0,
    say: Say = lambda *_: None,
) -> list[TableProof]:
    """Compare captured tables with their raw copies, and record each outcome.

    Args:
        sources: names of sources; None for all.
        tables: names as `cdc.captured.choose` takes them; None for all.
        patience: seconds to wait for the sinks to pass each position.
        say: see `Say`.

    Raises:
        PermanentError: a table is not followed now; the others were compared and recorded.
        CdcError: a check could not be made; what was proven before stays recorded.
    """
    proofs = []
    with parts() as (state, kafka, target):
        for chosen in choose(state, sources, tables):
            with source_database.connect(chosen.file) as source:
                for shape, found in compare_tables(chosen, state, source, kafka, target, patience, say):
                    proof = replace(proof_of(shape, found), clamped=clamped_values(source, shape))
                    record(state, target, shape, proof)
                    proofs.append(proof)
            refuse_parked(chosen)
    return proofs


def refuse_parked(chosen: Chosen) -> None:
    """Raise `PermanentError` when one of the tables is not followed now: nothing can be said of its copy."""
    if chosen.parked:
        raise PermanentError(f"not followed, so not compared: {'; '.join(chosen.parked)}")


@contextmanager
def parts() -> Iterator[tuple[psycopg.Connection[Any], Kafka, Client]]:
    """What a comparison of raw tables needs besides the source: the engine's state, Kafka, ClickHouse."""
    config = settings()
    target = clickhouse.engine_client(config)
    kafka = Kafka(config.kafka_bootstrap)
    try:
        with engine_state.connect(config.millrace_state_dsn) as state:
            yield state, kafka, target
    finally:
        kafka.close()


def compare_tables(
    chosen: Chosen,
    state: psycopg.Connection[Any],
    source: psycopg.Connection[Any],
    kafka: Kafka,
    target: Client,
    patience: float,
    say: Say,
) -> Iterator[tuple[Shape, Comparison]]:
    """Compare the chosen tables of one source, one after the other."""
    if not chosen.shapes:
        return
    lsn = pass_now(chosen, source, kafka, [shape.topic for shape in chosen.shapes], patience)
    for shape in chosen.shapes:
        again = partial(pass_now, chosen, source, kafka, [shape.topic], patience)
        with source_database.reading(chosen.file, shape.qualified):
            found = compare_table(chosen, shape, state, source, target, lsn, again, patience, say)
        yield shape, without_parked(found, shape, state, source)


def compare_table(
    chosen: Chosen,
    shape: Shape,
    state: psycopg.Connection[Any],
    source: psycopg.Connection[Any],
    target: Client,
    lsn: int,
    again: PassNow,
    patience: float,
    say: Say,
) -> Comparison:
    """Compare one table with its copy: by key, or an append-only one as a whole; ``lsn`` has been passed already."""
    tell = partial(say, shape.topic)
    if shape.append_only:
        return multiset.compare(chosen.file, shape, chosen.known.epoch, state, target, again, patience, tell)
    return compare(Sides(chosen.file, shape, source, target), lsn, again, patience, tell)


def pass_now(chosen: Chosen, source: psycopg.Connection[Any], kafka: Kafka, topics: list[str], patience: float) -> int:
    """A position of the source's log, taken now, once the sink has passed it."""
    lsn = source_database.insert_lsn(source)
    wait_until_passed(chosen.file, source, kafka, [CLICKHOUSE_GROUP], topics, lsn, patience=patience)
    return lsn


def without_parked(
    found: Comparison, shape: Shape, state: psycopg.Connection[Any], source: psycopg.Connection[Any]
) -> Comparison:
    """The comparison with the keys that wait in the dead letters counted apart."""
    letters = dead_letters.open_keys(state, "clickhouse").get((shape.source, shape.qualified))
    if not letters:
        return found
    if shape.append_only:
        return replace(found, parked=len(letters))
    parked = message_keys.spelled(source, shape, letters).keys()
    return replace(found, differing=found.differing - parked, parked=len(parked))


def proof_of(shape: Shape, found: Comparison) -> TableProof:
    """A comparison as a proof."""
    return TableProof(
        shape.source,
        shape.qualified,
        rows_source=found.rows,
        rows_target=found.rows - found.missing + found.extra,
        lsn=found.lsn,
        differing=len(found.differing) + found.surplus,
        differing_keys=tuple(sorted(found.differing)[:_MOST_KEYS_NAMED]),
        parked=found.parked,
    )


def record(state: psycopg.Connection[Any], target: Client, shape: Shape, proof: TableProof) -> None:
    """Keep the outcome in the engine's state, and show it to readers of ClickHouse."""
    counts = (proof.rows_source, proof.rows_target)
    engine_state.record_proof(state, shape, "clickhouse", proof.lsn, counts, proof.differing)
    watermark.tell_proof(target, shape.source, shape.raw_table, counts, proof.differing)
