"""Verification of raw tables: which keys differ from the source, while the source goes on changing.

A difference counts only when it is still there after the sinks have passed a position taken after the first reading,
and the source row has not changed meanwhile; and it must be found twice in a row. A check that could not be made
raises; it never says "equal" or "different".
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import clickhouse, dead_letters, message_keys, source_database
from cdc import state as engine_state
from cdc.catalog import Shape
from cdc.errors import TransientError
from cdc.kafka import Kafka
from cdc.settings import settings
from cdc.sinks.positions import CLICKHOUSE_GROUP
from cdc.source_file import SourceFile
from cdc.verify.checksum import Digest, Key, source_checksums, source_digests, target_checksums, target_digests
from cdc.verify.passed import wait_until_passed

_MOST_KEYS_NAMED = 100


@dataclass(frozen=True)
class TableProof:
    """Outcome for one table. ``lsn``: the source position that the copy was shown to have passed.

    ``differing_keys`` names at most 100 of the ``differing`` keys, each as the texts of its key columns.
    """

    source: str
    table: str
    rows_source: int
    rows_target: int
    lsn: int
    differing: int
    differing_keys: tuple[Key, ...]
    parked: int = 0
    all_differing: frozenset[Key] = frozenset()

    @property
    def equal(self) -> bool:
        """Whether every column of every row is the same on both sides."""
        return self.differing == 0 and self.parked == 0


def captured_tables() -> list[tuple[str, str, str]]:
    """(source, schema, table) of everything that is captured now."""
    with engine_state.connect(settings().millrace_state_dsn) as state:
        return [(t.shape.source, t.shape.schema, t.shape.table) for t in engine_state.captured_tables(state)]


def verify_tables(
    sources: list[str] | None = None, tables: list[str] | None = None, *, patience: float = 120.0
) -> list[TableProof]:
    """Compare captured tables with their raw copies, and record each outcome.

    Args:
        sources: names of sources; None for all.
        tables: table names, ``table`` or ``schema.table``; None for all.
        patience: seconds to wait for the sinks to pass each position.

    Raises:
        CdcError: a check could not be made; what was proven before stays recorded.
    """
    config = settings()
    proofs = []
    target = clickhouse.connect(config.clickhouse_url, config.clickhouse_cdc_password)
    kafka = Kafka(config.kafka_bootstrap)
    try:
        with engine_state.connect(config.millrace_state_dsn) as state:
            for file, _ in engine_state.applied_sources(state):
                if sources is None or file.source in sources:
                    shapes = [
                        t.shape for t in engine_state.captured_tables(state, file.source) if _chosen(t.shape, tables)
                    ]
                    proofs += _verify_source(file, shapes, state, kafka, target, patience)
    finally:
        kafka.close()
    return proofs


def _chosen(shape: Shape, tables: list[str] | None) -> bool:
    return tables is None or shape.table in tables or shape.qualified in tables


def _verify_source(
    file: SourceFile,
    shapes: list[Shape],
    state: psycopg.Connection[Any],
    kafka: Kafka,
    target: Client,
    patience: float,
) -> list[TableProof]:
    with source_database.connect(file) as source:

        def pass_now(topics: list[str]) -> int:
            lsn = source_database.insert_lsn(source)
            wait_until_passed(file, source, kafka, [CLICKHOUSE_GROUP], topics, lsn, patience=patience)
            return lsn

        lsn = pass_now([shape.topic for shape in shapes]) if shapes else 0
        proofs = []
        for shape in shapes:
            proof = _verify_table(shape, lsn, source, target, pass_now, patience)
            proof = _set_parked_apart(proof, state, source, shape)
            counts = (proof.rows_source, proof.rows_target)
            engine_state.record_proof(state, shape, "clickhouse", proof.lsn, counts, proof.differing)
            proofs.append(proof)
        return proofs


def _set_parked_apart(
    proof: TableProof, state: psycopg.Connection[Any], source: psycopg.Connection[Any], shape: Shape
) -> TableProof:
    """Keys with open dead letters are known not to be equal: they are counted as parked, not as differing."""
    open_letters = dead_letters.open_keys(state, "clickhouse").get((shape.source, shape.qualified))
    if not open_letters:
        return proof
    parked = message_keys.spelled(source, shape, open_letters)
    differing = tuple(key for key in proof.differing_keys if key not in parked)
    return replace(
        proof,
        differing=proof.differing - len(parked.intersection(proof.all_differing)),
        differing_keys=differing,
        parked=len(parked),
    )


def _verify_table(
    shape: Shape,
    lsn: int,
    source: psycopg.Connection[Any],
    target: Client,
    pass_now: Callable[[list[str]], int],
    patience: float,
) -> TableProof:
    ours, theirs = source_checksums(source, shape), target_checksums(target, shape)
    rows = sum(checksum.rows for checksum in ours.values())
    buckets = sorted(bucket for bucket in ours.keys() | theirs.keys() if ours.get(bucket) != theirs.get(bucket))
    if not buckets:
        return TableProof(shape.source, shape.qualified, rows, rows, lsn, 0, ())
    here, there = source_digests(source, shape, buckets), target_digests(target, shape, buckets)
    suspects = {key for key in here.keys() | there.keys() if here.get(key) != there.get(key)}
    before: set[Key] = set()
    deadline = time.monotonic() + patience
    while suspects:
        if time.monotonic() > deadline:
            raise TransientError(
                f"{shape.topic}: {len(suspects)} rows that differ kept changing for {patience:g} s; verify again in a quieter moment"
            )
        buckets = sorted({bucket for key in suspects for bucket in _buckets(key, here, there)})
        here = source_digests(source, shape, buckets)
        lsn = pass_now([shape.topic])
        there = target_digests(target, shape, buckets)
        after = source_digests(source, shape, buckets)
        # Not cleared by equality with the earlier reading: a change before `lsn` may be what the copy lacks.
        suspects = {key for key in suspects if there.get(key) != after.get(key)}
        still = {key for key in suspects if here.get(key) == after.get(key)}
        if suspects and still == suspects == before:
            extra = sum(key not in after for key in still)
            missing = sum(key not in there for key in still)
            named = tuple(sorted(still)[:_MOST_KEYS_NAMED])
            return TableProof(
                shape.source, shape.qualified, rows, rows - missing + extra, lsn, len(still), named, 0, frozenset(still)
            )
        before = still
    return TableProof(shape.source, shape.qualified, rows, rows, lsn, 0, ())


def _buckets(key: Key, *readings: dict[Key, Digest]) -> set[int]:
    return {reading[key].bucket for reading in readings if key in reading}
