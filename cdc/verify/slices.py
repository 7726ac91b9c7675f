"""Reads the source's checksums slice by slice of the table's blocks, several at once.

One statement would keep one core of the source busy and hold one snapshot for the whole reading. Rows that move from
slice to slice meanwhile make their buckets look different, as any change does; they are looked at again by key.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from cdc import source_database
from cdc.catalog import Shape
from cdc.relations import between, leaves
from cdc.source_file import SourceFile
from cdc.verify.buckets import Buckets
from cdc.verify.checksum import Checksum, source_checksums

AT_ONCE = min(4, os.cpu_count() or 1)
SLICE_BYTES = 32 << 20
_MOST_SLICES = 32  # each may name every bucket


def checksums(
    file: SourceFile, source: psycopg.Connection[Any], buckets: Buckets, say: Callable[[str], None]
) -> dict[int, Checksum]:
    """Checksum of every bucket of the source table that holds rows; ``say`` is told how much of it has been read."""
    parts = _slices(source, buckets.shape)
    found: dict[int, Checksum] = {}
    say("comparing checksums")
    with _sessions(file) as session, ThreadPoolExecutor(AT_ONCE, thread_name_prefix="verify") as pool:
        work = [pool.submit(lambda part: source_checksums(session(), buckets, part), part) for part in parts]
        try:
            for number, done in enumerate(as_completed(work), 1):
                for bucket, (rows, digests) in done.result().items():
                    before = found.get(bucket, Checksum(0, 0))
                    found[bucket] = Checksum(before.rows + rows, before.digests + digests)
                if number < len(parts):
                    say(f"comparing checksums, {number / len(parts):.0%} of the source read")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def _slices(source: psycopg.Connection[Any], shape: Shape) -> list[sql.Composable]:
    """FROM items with their conditions that together hold every row, those that are added meanwhile as well."""
    found = leaves(source, shape)
    size = max(SLICE_BYTES, sum(leaf.bytes for leaf in found) // _MOST_SLICES)
    parts: list[sql.Composable] = []
    for leaf in found:
        step = max(1, leaf.blocks * size // max(leaf.bytes, 1))
        firsts = range(0, max(leaf.blocks, 1), step) if leaf.heap else [None]
        for first in firsts:
            last = first is None or first + step >= leaf.blocks
            rows = between(first or None, None if last or first is None else first + step)
            parts.append(sql.SQL("ONLY {} WHERE {}").format(leaf.name, rows))
    return parts


@contextmanager
def _sessions(file: SourceFile) -> Iterator[Callable[[], psycopg.Connection[Any]]]:
    """Gives each thread that asks a session of its own; all end with the block."""
    own, opened = threading.local(), list[psycopg.Connection[Any]]()

    def session() -> psycopg.Connection[Any]:
        if not hasattr(own, "session"):
            own.session = source_database.connect(file)
            opened.append(own.session)
        mine: psycopg.Connection[Any] = own.session
        return mine

    try:
        yield session
    finally:
        for each in opened:
            each.close()
