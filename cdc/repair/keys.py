"""Copies given keys anew below a fresh fence, and ends those that the source does not have.

Which keys the source has is read after the fence: one that comes later is in the stream, and wins; so does the end of one
that goes later.
"""

from collections.abc import Collection
from typing import Any

import psycopg

from cdc import failpoints
from cdc.backfill.chunks import copy_where
from cdc.backfill.copy import PIECE_BYTES, insert, writer_name
from cdc.backfill.fence import raise_fence
from cdc.backfill.missed_epoch import highest_version, refuse_missed_epoch
from cdc.backfill.overtaken import resolve_overtaken
from cdc.backfill.rows import read
from cdc.backfill.sweep import sweep, sweep_truncated
from cdc.sinks.clickhouse.history import withdraw_repeated
from cdc.verify import keys
from cdc.verify.checksum import Key
from cdc.verify.comparing import Sides
from cdc.version import Version


def mend(sides: Sides, differing: Collection[Key], epoch: int, state: psycopg.Connection[Any]) -> tuple[int, int]:
    """Bring the copy's rows with these keys to what the source has; how many were copied, and how many of the keys ended.

    Args:
        sides: the table; its session is in autocommit. The caller has claimed the table (`cdc.backfill.jobs.claimed`).
        differing: keys that were proven to differ.
        epoch: the source's epoch.
        state: the engine's state.

    Raises:
        PermanentError: a row of the copy has a version that the source cannot have written; nothing was changed.
    """
    shape, target = sides.shape, sides.target
    highest = max(highest_version(target, shape, keys.target_condition(shape, lot)) for lot in keys.batches(differing))
    stamp = Version(epoch, raise_fence(sides.source), 0)
    refuse_missed_epoch(shape, highest, stamp)
    copied = ended = 0
    for lot in keys.batches(differing):
        there = sides.source_rows(lot)
        for condition in keys.present_conditions(shape, there):
            for piece in read(sides.source, copy_where(shape, shape.rows, condition), PIECE_BYTES):
                insert(target, state, shape, stamp.pack(), piece.body)
                copied += piece.rows
        if gone := [key for key in lot if key not in there]:
            sweep(target, state, writer_name(shape), shape, stamp.pack(), keys.target_condition(shape, gone))
            ended += len(gone)
        withdraw_repeated(target, shape, stamp.pack(), keys.target_condition(shape, lot))
        failpoints.hit("repair.rows-copied")
    sweep_truncated(target, state, writer_name(shape), shape, stamp.pack())
    resolve_overtaken(state, sides.source, target, shape, stamp.pack())
    return copied, ended
