"""Compares an append-only table with its copy: not by key, as there is none, but by how often each row is there.

The source is read in one snapshot. Once the sinks have passed a position taken after it, the copy is read without the rows whose
transaction that snapshot did not see: what is compared is the same moment of both sides, and inserts may go on. A difference counts
when it is found twice in a row, each time in a snapshot of its own, and neither a TRUNCATE nor a copy of the table was under way.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client
from psycopg import sql

from cdc import floors, source_database
from cdc.catalog import Shape
from cdc.clickhouse import quote
from cdc.floors import Snapshot
from cdc.sinks.clickhouse.raw_table import qualified
from cdc.source_file import SourceFile
from cdc.verify import buckets, spelling
from cdc.verify.buckets import Buckets
from cdc.verify.checksum import Key, source_checksums, target_checksums
from cdc.verify.comparing import MOST_DIFFERING, Comparison, PassNow, groups, unequal
from cdc.version import Version

_POLL = 0.5
_LONG_AGO = "1 DAY"
_SETTINGS = {"max_query_size": 64 << 20}


@dataclass(frozen=True)
class _Moment:
    """One snapshot of the source, open in its session, and which rows of the copy belong to it."""

    source: psycopg.Connection[Any]
    at: int
    rows: str


@dataclass(frozen=True)
class _Traces:
    """What tells whether a copy or a TRUNCATE of the table went on beside a comparison."""

    copies: tuple[int, int]
    """How many were begun and how many ended, ever."""
    snapshot: int
    truncated: int
    """Position of the last TRUNCATE that the sinks have read."""
    settled: bool


def compare(
    file: SourceFile,
    shape: Shape,
    epoch: int,
    state: psycopg.Connection[Any],
    target: Client,
    pass_now: PassNow,
    patience: float,
    say: Callable[[str], None],
) -> Comparison:
    """Compare the whole table with its copy; see `cdc.verify.comparing.compare` for what the arguments mean.

    Raises:
        TransientError: a part did not answer.
    """
    deadline = time.monotonic() + patience
    suspected = found_before = False
    while True:
        before = _traces(state, shape)
        with source_database.connect(file) as source:
            moment = _moment(source, shape, epoch)
            found = _compare_once(shape, moment, target, pass_now, say, into_rows=suspected)
        if found is not None and not found.differing:
            return found
        after = _traces(state, shape)
        disturbed = before != after or not after.settled or after.truncated >= moment.at
        if found is not None and (time.monotonic() > deadline or (found_before and not disturbed)):
            return found
        suspected, found_before = True, not disturbed
        if disturbed:
            say("waiting for a copy or a TRUNCATE of the table")
            time.sleep(_POLL)  # what the keeper and copies do tells nobody


def _traces(state: psycopg.Connection[Any], shape: Shape) -> _Traces:
    row = state.execute(
        "SELECT count(*), count(finished_at), coalesce(max(id), 0) FROM millrace.backfills WHERE (source, name) = (%s, %s)",
        [shape.source, shape.qualified],
    ).fetchone()
    assert row is not None
    table = shape.source, shape.qualified
    floor, snapshot = floors.all_floors(state).get(table), floors.all_snapshots(state).get(table)
    return _Traces(
        copies=(row[2], row[1]),
        snapshot=snapshot.version if snapshot else 0,
        truncated=Version.unpack(floor.version).lsn if floor else 0,
        settled=row[0] == row[1] and all(each is None or each.settled for each in (floor, snapshot)),
    )


def _moment(source: psycopg.Connection[Any], shape: Shape, epoch: int) -> _Moment:
    source.execute("BEGIN")
    seen = source_database.begin_snapshot(source, shape.rows)
    bounds = Version(epoch, 0, 0).pack(), Version(epoch, seen.lsn, 0).pack()
    snapshot = Snapshot(shape.source, shape.qualified, *bounds, seen.xmin, seen.xmax, seen.running)
    # A number from long ago may have come around since: what was committed then was seen.
    old = f"_committed_at < now64(6, 'UTC') - INTERVAL {_LONG_AGO}"
    return _Moment(source, seen.lsn, f"(_copied = 1 OR {old} OR {snapshot.holds('_version', '_transaction')})")


def _compare_once(
    shape: Shape,
    moment: _Moment,
    target: Client,
    pass_now: PassNow,
    say: Callable[[str], None],
    *,
    into_rows: bool,
) -> Comparison | None:
    """Compare one moment; None when it differs and was not looked into the rows: then a TRUNCATE has not to wait for long."""
    [[rows]] = target.query(f"SELECT count() FROM {qualified(shape)}").result_rows
    split = buckets.by_hash(
        shape, max(int(rows), source_database.estimated_rows(moment.source, shape.schema, shape.table))
    )
    say("comparing checksums")
    ours = source_checksums(moment.source, split, shape.rows)
    if not into_rows:
        moment.source.execute("COMMIT")
    lsn = pass_now()
    theirs = target_checksums(target, split, moment.rows)
    if ours != theirs and not into_rows:
        return None
    held = {
        number: max(side[number].rows for side in (ours, theirs) if number in side) for number in unequal(ours, theirs)
    }
    missing, extra = Counter[Key](), Counter[Key]()
    for numbers in groups(held):
        say(f"looking into {len(held):,} of {len(ours.keys() | theirs.keys()):,} parts")
        here, there = _source_rows(shape, moment, split, numbers), _target_rows(shape, moment, target, split, numbers)
        missing += here - there
        extra += there - here
        if missing.total() + extra.total() >= MOST_DIFFERING:
            break
    differing = frozenset(row[:-1] for row in missing.keys() | extra.keys())
    total = missing.total() + extra.total()
    return Comparison(
        sum(each.rows for each in ours.values()),
        lsn,
        differing,
        missing.total(),
        extra.total(),
        surplus=total - len(differing),
    )


def _source_rows(shape: Shape, moment: _Moment, split: Buckets, numbers: list[int]) -> Counter[Key]:
    texts = [sql.SQL("coalesce({}, 'NULL')").format(spelling.source_text(column)) for column in shape.columns]
    statement = sql.SQL("SELECT md5({row}), ARRAY[{texts}] FROM {rows} WHERE {condition}").format(
        row=spelling.source_row(shape.columns),
        texts=sql.SQL(", ").join(texts),
        rows=shape.rows,
        condition=split.source_condition(numbers),
    )
    return Counter((*texts, digest) for digest, texts in moment.source.execute(statement))


def _target_rows(shape: Shape, moment: _Moment, target: Client, split: Buckets, numbers: list[int]) -> Counter[Key]:
    texts = ", ".join(
        f"if(isNull({quote(column.name)}), 'NULL', {spelling.target_text(column)})" for column in shape.columns
    )
    statement = (
        f"SELECT lower(hex(MD5({spelling.target_row(shape.columns)}))), [{texts}] FROM {qualified(shape)} FINAL "
        f"WHERE {moment.rows} AND {split.target_condition(numbers)}"
    )
    rows = target.query(statement, settings=_SETTINGS).result_rows
    return Counter((*texts, digest) for digest, texts in rows)
