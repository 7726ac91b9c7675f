"""Which keys of one table differ from its copy, while both go on changing.

Both sides are read at the same time: first a checksum per bucket, then, of the buckets that differ, each row's digest,
and of those that differ only their keys, again and again. A difference counts only when it is still there after the sinks
have passed a position taken after the first reading, and the source row has not changed meanwhile; and it must be found
twice in a row. A comparison that could not be made raises; it never says "equal" or "different".
"""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from clickhouse_connect.driver.client import Client

from cdc.catalog import Shape
from cdc.errors import TransientError
from cdc.source_file import SourceFile
from cdc.verify import buckets, checksum, keys, slices
from cdc.verify.buckets import Buckets
from cdc.verify.checksum import Checksum, Digest, Key

MOST_DIFFERING = 100_000
"""A comparison stops counting here: the whole table has to be copied again then, and memory stays bounded."""
_ROWS_AT_ONCE = 100_000  # digests of both sides held at a time

PassNow = Callable[[], int]
"""Returns a position of the source's log, taken now, once the sinks have passed it."""
Say = Callable[[str], None]
T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Comparison:
    """Outcome for one table. ``lsn``: the source position that the copy was shown to have passed.

    ``differing`` holds the keys that differ, at most some more than `MOST_DIFFERING`; ``missing`` and ``extra`` say how
    many of them only one side has. ``parked`` counts keys that were set apart because a target refused their change. Of an
    append-only table a key is a whole row, and ``surplus`` counts how often those rows differ beyond once each.
    """

    rows: int
    lsn: int
    differing: frozenset[Key]
    missing: int = 0
    extra: int = 0
    parked: int = 0
    surplus: int = 0


class Sides:
    """The table and its copy, read at the same time; ``source`` is a session in autocommit. Not for several threads."""

    def __init__(self, file: SourceFile, shape: Shape, source: psycopg.Connection[Any], target: Client) -> None:
        self.file, self.shape, self.source, self.target = file, shape, source, target

    def checksums(self, split: Buckets, say: Say) -> tuple[dict[int, Checksum], dict[int, Checksum]]:
        """Every bucket's checksum on both sides; ``say`` is told how much of the source has been read."""
        return _both(
            lambda: slices.checksums(self.file, self.source, split, say),
            lambda: checksum.target_checksums(self.target, split),
        )

    def digests_of_buckets(self, split: Buckets, numbers: list[int]) -> tuple[dict[Key, Digest], dict[Key, Digest]]:
        """The digests of all rows of some buckets on both sides."""
        return _both(
            lambda: checksum.source_digests(self.source, self.shape, split.source_condition(numbers)),
            lambda: checksum.target_digests(self.target, self.shape, split.target_condition(numbers)),
        )

    def source_rows(self, wanted: Iterable[Key]) -> dict[Key, Digest]:
        """The digests of the source's rows with these keys."""
        found: dict[Key, Digest] = {}
        for lot in keys.batches(wanted):
            found |= checksum.source_digests(self.source, self.shape, keys.source_condition(self.shape, lot))
        return found

    def target_rows(self, wanted: Iterable[Key]) -> dict[Key, Digest]:
        """The digests of the copy's rows with these keys."""
        found: dict[Key, Digest] = {}
        for lot in keys.batches(wanted):
            found |= checksum.target_digests(self.target, self.shape, keys.target_condition(self.shape, lot))
        return found


def compare(sides: Sides, lsn: int, pass_now: PassNow, patience: float, say: Say = lambda _: None) -> Comparison:
    """Compare the whole table with its copy.

    Args:
        sides: the table.
        lsn: a position that the sinks have passed already.
        pass_now: see `PassNow`.
        patience: seconds in which rows that keep changing must stand still long enough to be compared.
        say: told what is done now.

    Raises:
        TransientError: a part did not answer, or rows kept changing.
    """
    shape = sides.shape
    split = buckets.choose(sides.source, sides.target, shape)
    ours, theirs = sides.checksums(split, say)
    rows = sum(each.rows for each in ours.values())
    held = {
        number: max(side[number].rows for side in (ours, theirs) if number in side) for number in unequal(ours, theirs)
    }
    if split.shift is not None and max(held.values(), default=0) > _ROWS_AT_ONCE:
        # The key's first column does not tell enough rows apart.
        split = buckets.by_hash(shape, rows)
        ours, theirs = sides.checksums(split, say)
        held = {n: max(side[n].rows for side in (ours, theirs) if n in side) for n in unequal(ours, theirs)}
    suspects: set[Key] = set()
    for numbers in groups(held):
        say(f"looking into {len(held):,} of {len(ours.keys() | theirs.keys()):,} parts")
        here, there = sides.digests_of_buckets(split, numbers)
        suspects |= {key for key in here.keys() | there.keys() if _differ(key, here, there)}
        if len(suspects) >= MOST_DIFFERING:
            break
    return confirm(sides, suspects, rows, lsn, pass_now, patience, say)


def confirm(
    sides: Sides,
    suspects: Iterable[Key],
    rows: int,
    lsn: int,
    pass_now: PassNow,
    patience: float,
    say: Say = lambda _: None,
) -> Comparison:
    """Which of the suspects differ for certain; see `compare`. ``rows`` and ``lsn`` are given back, the latter renewed."""
    left, before = set(suspects), set[Key]()
    deadline = time.monotonic() + patience
    while left:
        if time.monotonic() > deadline:
            raise TransientError(
                f"{sides.shape.topic}: {len(left)} rows that differ kept changing for {patience:g} s; verify again in a quieter moment"
            )
        say(f"looking again at {len(left):,} rows")
        here = sides.source_rows(left)
        lsn = pass_now()
        there = sides.target_rows(left)
        after = sides.source_rows(left)
        # Not cleared by equality with the earlier reading: a change before `lsn` may be what the copy lacks.
        left = {key for key in left if _differ(key, after, there)}
        still = {key for key in left if not _differ(key, here, after)}
        if left and still == left == before:
            missing = sum(key not in there for key in still)
            extra = sum(key not in after for key in still)
            return Comparison(rows, lsn, frozenset(still), missing, extra)
        before = still
    return Comparison(rows, lsn, frozenset())


def _differ(key: Key, one: dict[Key, Digest], other: dict[Key, Digest]) -> bool:
    ours, theirs = one.get(key), other.get(key)
    return (ours and ours.text) != (theirs and theirs.text)


def unequal(ours: dict[int, Checksum], theirs: dict[int, Checksum]) -> list[int]:
    """The buckets whose checksums differ."""
    return sorted(number for number in ours.keys() | theirs.keys() if ours.get(number) != theirs.get(number))


def groups(held: dict[int, int]) -> Iterator[list[int]]:
    """The buckets in groups of about `_ROWS_AT_ONCE` rows."""
    group: list[int] = []
    size = 0
    for number, count in held.items():
        group.append(number)
        size += count
        if size >= _ROWS_AT_ONCE:
            yield group
            group, size = [], 0
    if group:
        yield group


def _both(source: Callable[[], T], target: Callable[[], U]) -> tuple[T, U]:
    """Both results, the two calls running at the same time."""
    with ThreadPoolExecutor(1) as pool:
        theirs = pool.submit(target)
        ours = source()
        return ours, theirs.result()
