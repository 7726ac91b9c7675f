"""Erasing a key: what any copy still holds of a row that its source has overwritten or deleted is taken out at once.

The source comes first: the row there is what the copies show afterwards, and where there is none they have none. Topics
cannot be cut; they forget by their retention, and until then `cdc.erasures` keeps what they hold from coming back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import documents, erasures, failpoints, source_database
from cdc import state as engine_state
from cdc.backfill import jobs
from cdc.backfill.fence import raise_fence
from cdc.backfill.missed_epoch import highest_version, refuse_missed_epoch
from cdc.captured import Chosen
from cdc.catalog import Shape
from cdc.erase import caches, indexes, letters, tables
from cdc.erase.keys import read_key
from cdc.errors import ConfigurationError
from cdc.kafka import Kafka
from cdc.settings import CdcSettings
from cdc.sinks.positions import CLICKHOUSE_GROUP, DOCUMENTS_GROUP, INVALIDATION_GROUP
from cdc.verify import keys
from cdc.verify.comparing import Sides
from cdc.verify.passed import wait_until_passed
from cdc.version import Version
from cdc.waiting import wait_until

_PATIENCE = 120.0


@dataclass(frozen=True)
class Erased:
    """What was taken out: versions of the row in the raw table and its log, dead letters, documents written anew, keys of caches.

    ``kept`` says whether the source has the row, which is what the copies show now.
    """

    table: str
    versions: int
    letters: int
    documents: int
    cached: int
    kept: bool


def erase(
    chosen: Chosen,
    shape: Shape,
    key_text: str,
    config: CdcSettings,
    state: psycopg.Connection[Any],
    kafka: Kafka,
    target: Client,
    say: Callable[[str], None] = lambda _: None,
    *,
    patience: float = _PATIENCE,
) -> Erased:
    """Take everything of one key out of the copies but what its source has now; calling again does no harm.

    Args:
        chosen, shape: the source and its table.
        key_text: the key as text; of several columns a JSON array of texts.
        say: told what is waited for.
        patience: seconds to wait for the sinks.

    Raises:
        ConfigurationError: the table has no key, or this is none.
        CdcError: a part did not answer; what was erased stays erased, and calling again goes on.
    """
    if shape.append_only:
        raise ConfigurationError(
            f"{shape.qualified} has no key to erase by; delete the rows in the source and resync the table: "
            f"`millrace cdc resync {shape.topic}` replaces its copy whole"
        )
    file = chosen.file
    with source_database.connect(file) as source, jobs.claimed(state, [shape]):
        key = read_key(source, shape, key_text)
        condition = keys.target_condition(shape, [key])
        highest = highest_version(target, shape, condition)
        stamp = Version(chosen.known.epoch, raise_fence(source, patience=patience), 0)
        refuse_missed_epoch(shape, highest, stamp)
        erasure, held = erasures.record(state, shape, key, stamp.pack())
        failpoints.hit("erase.recorded")
        trees = [
            tree
            for tree in (documents.load_trees(file, source) if file.documents else ())
            if shape.topic in tree.topics
        ]
        groups = [
            *([CLICKHOUSE_GROUP] if "clickhouse" in file.targets else []),
            *([DOCUMENTS_GROUP] if trees else []),
            *([INVALIDATION_GROUP] if shape.qualified in file.invalidate else []),
        ]
        say("waiting until the sinks have written what the source did before")
        position = source_database.insert_lsn(source)
        wait_until_passed(file, source, kafka, groups, [shape.topic], position, patience=patience)
        wait_until(lambda: not engine_state.held_open(state, held), patience, lambda: _held(state, held))
        cached = caches.drop(chosen, shape, config, source, target, key)
        sides = Sides(file, shape, source, target)
        kept = tables.write_present(sides, state, key, stamp.pack())
        versions = tables.delete_below(target, erasure, shape)
        failpoints.hit("erase.deleted")
        erasures.deleted(state, erasure)
        parked = letters.delete(state, source, shape, erasure, trees)
        rewritten = indexes.rewrite(chosen, shape, trees, config, key)
    return Erased(shape.topic, versions, parked, rewritten, cached, kept)


def _held(state: psycopg.Connection[Any], held: int) -> str:
    writers = ", ".join(engine_state.held_open(state, held))
    return f"{writers} may still write what it read before the erasure; once it has written, erase again"
