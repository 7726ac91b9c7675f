"""The log beside a raw table: every version of a row that was written into it, for the tables whose source file asks for a history.

A raw table forgets: merges keep the highest version of each key. What is written into one with a history is therefore written into
its log as well, by the same statement with another target, before any offset is committed (`cdc.sinks.clickhouse.writer.send`). The log
is sorted by the row's key and `_version`, in a ReplacingMergeTree: a change that is read again has the same key and version and takes
its own place. The tokens by which ClickHouse drops a repeated insert would not do for that: a sink that died gathers the same changes into
other batches. Readers ask for `FINAL`, as everywhere.

The log keeps its columns when the source drops them, and refuses no NULL. Each column's comment says which column of which table of
the catalog it holds, so that one that is renamed keeps its values. Where that cannot be (another type, another key, another table of
the name) the former column or log goes aside under `<name>__until_<time>`, and what is written from then on stands in a new one.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from clickhouse_connect.driver.client import Client

from cdc import failpoints
from cdc.catalog import Column, Shape
from cdc.clickhouse import quote
from cdc.sinks.clickhouse import cluster
from cdc.sinks.clickhouse.raw_table import SERVICE_COLUMNS, key_names, qualified, sweep_insert
from cdc.types import clickhouse_type, mapping
from cdc.version import Version

SUFFIX = "__history"
_ORIGIN = re.compile(r"column (\d+) of table (\d+)")
_WIDTHS = ("Int16", "Int32", "Int64")
_DECIMAL = re.compile(r"Decimal\((\d+), ?(\d+)\)")
_NULLABLE = re.compile(r"^Nullable\((.*)\)$")


@dataclass(frozen=True)
class _Held:
    """A column of a log that is there. ``origin``: (table, column) in the source's catalog; None where it was set aside."""

    name: str
    kind: str
    origin: tuple[int, int] | None
    in_key: bool


def log_table(shape: Shape) -> str:
    """Name of the log in the raw database."""
    return f"{shape.raw_table}{SUFFIX}"


def log_of(shape: Shape) -> str:
    """Quoted ``database.table`` of the log; a copy that is being made beside writes into the same."""
    return f"{quote(shape.raw_database)}.{quote(log_table(shape))}"


def columns_of(shape: Shape) -> dict[str, str]:
    """Every column of the log with its ClickHouse type, in order."""
    return {c.name: _kind(c, c.name in shape.key) for c in shape.columns} | SERVICE_COLUMNS


def create_statement(shape: Shape) -> str:
    """DDL of the log."""
    comments = {column.name: f" COMMENT '{_origin(shape, column)}'" for column in shape.columns}
    columns = ",\n    ".join(f"{quote(n)} {kind}{comments.get(n, '')}" for n, kind in columns_of(shape).items())
    nullable = ", allow_nullable_key = 1" if any(column.element for column in shape.key_columns) else ""
    return (
        f"CREATE TABLE IF NOT EXISTS {log_of(shape)} (\n    {columns}\n)\n"
        f"ENGINE = ReplacingMergeTree ORDER BY ({', '.join(map(quote, (*key_names(shape), '_version')))})\n"
        f"SETTINGS non_replicated_deduplication_window = 1000{nullable}"
    )


def statement_into_log(shape: Shape, statement: str) -> str:
    """The statement that writes into the log what the given one writes into the raw table."""
    head = f"INSERT INTO {qualified(shape)} "
    if not statement.startswith(head):
        raise ValueError(f"{shape.topic}: not an insert into its raw table: {statement[:80]}")
    return f"INSERT INTO {log_of(shape)} {statement.removeprefix(head)}"


def end_statement(shape: Shape, below: int, batch: int, among: str = "1") -> str:
    """The log's part in a sweep (`raw_table.sweep_insert`).

    After a TRUNCATE it is the log that knows which rows ended: those that it has alive there, also where they were inserted again
    since. After a copy, whose rows the log may have as they are already, it is the raw table that knows.
    """
    if Version.unpack(below).lsn == 0:
        return statement_into_log(shape, sweep_insert(shape, below, batch, among))
    key = ", ".join(map(quote, shape.key))
    service = f"toUInt128('{below}'), 1, now64(6, 'UTC'), now64(6, 'UTC'), {batch}"
    return (
        f"INSERT INTO {log_of(shape)} ({key}, {', '.join(SERVICE_COLUMNS)}) SELECT {key}, {service} FROM {log_of(shape)} "
        f"WHERE _version <= toUInt128('{below}') AND ({among}) GROUP BY {key} "
        "HAVING argMax(_deleted, _version) = 0"
    )


def prepare(target: Client, shape: Shape) -> None:
    """Make the log, or bring the one that is there to the shape; nothing for a table without a history. Safe to repeat, also after
    it was interrupted."""
    if not shape.history:
        return
    held = _held(target, shape)
    if held and not _same_rows(held, shape):
        _rename(target, shape, _aside(log_table(shape)))
        held = []
    if not held:
        cluster.define(target, create_statement(shape), log_of(shape))
        return
    for statements in (_cleared, _moved, _named):  # each judges by what the one before has left
        for statement in statements(_held(target, shape), shape):
            cluster.define(target, statement, log_of(shape))
            failpoints.hit("history.altered")


def set_aside(target: Client, shape: Shape, until: str) -> None:
    """Give the log of an earlier table of the name, where there is one, the name under which that table's rows are kept."""
    if _held(target, shape):
        _rename(target, shape, f"{log_table(shape)}__until_{until}")


def there(target: Client, shape: Shape) -> bool:
    """Whether the table has a log, followed or not."""
    return bool(_held(target, shape))


def withdraw_repeated(target: Client, shape: Shape, stamp: int, among: str = "1") -> int:
    """Take out what a copy wrote (``stamp``: its version) that is as the version before was; returns how many.

    A copy writes every row, changed or not: a row enters by it when the log does not know it yet, or knows it otherwise. Of a change that
    arrives later, with a version between the two, the copy has seen the outcome, so what is taken out then was repeated all the same.
    """
    before = f"_version < toUInt128('{stamp}')"
    if not shape.history or not target.query(f"SELECT 1 FROM {log_of(shape)} WHERE {before} LIMIT 1").result_rows:
        return 0
    key = ", ".join(map(quote, shape.key))
    rest = ", ".join(quote(column.name) for column in shape.columns if column.name not in shape.key)
    content = f"cityHash64(toString(tuple({rest}{', ' if rest else ''}_deleted)))"
    at = f"_version = toUInt128('{stamp}')"
    repeated = (
        f"SELECT {key} FROM {log_of(shape)} WHERE _version <= toUInt128('{stamp}') AND ({among}) GROUP BY {key} "
        f"HAVING countIf({at}) > 0 AND countIf({before}) > 0 "
        f"AND argMaxIf({content}, _version, {before}) = anyIf({content}, {at})"
    )
    [[count]] = target.query(f"SELECT count() FROM ({repeated})").result_rows
    if count:
        cluster.change(target, f"DELETE FROM {log_of(shape)} WHERE {at} AND ({key}) IN ({repeated})", log_of(shape))
    return int(count)


def _rename(target: Client, shape: Shape, name: str) -> None:
    aside = f"{quote(shape.raw_database)}.{quote(name)}"
    cluster.define(target, f"RENAME TABLE IF EXISTS {log_of(shape)} TO {aside}", aside, gone=(log_of(shape),))


def _kind(column: Column, in_key: bool) -> str:
    """A log's type: with NULL where the column is not of the key and is kept no other way then."""
    loose = replace(column, late=True)
    if in_key or mapping(loose).clickhouse != mapping(column).clickhouse:
        return clickhouse_type(column)
    return clickhouse_type(loose)


def _origin(shape: Shape, column: Column) -> str:
    return f"column {column.number} of table {shape.relation}"


def _held(target: Client, shape: Shape) -> list[_Held]:
    rows = target.query(
        "SELECT name, type, comment, is_in_sorting_key FROM system.columns WHERE database = {d:String} AND table = {t:String} "
        "ORDER BY position",
        {"d": cluster.held_in(shape.raw_database), "t": log_table(shape)},
    ).result_rows
    found = ((_ORIGIN.fullmatch(comment), name, kind, key) for name, kind, comment, key in rows)
    return [_Held(name, kind, (int(o[2]), int(o[1])) if o else None, bool(key)) for o, name, kind, key in found]


def _same_rows(held: list[_Held], shape: Shape) -> bool:
    """Whether the log knows rows of this table by this key."""
    key = {(c.name, _kind(c, True), (shape.relation, c.number)) for c in shape.key_columns}
    return {(h.name, h.kind, h.origin) for h in held if h.in_key and h.name not in SERVICE_COLUMNS} == key


def _cleared(held: list[_Held], shape: Shape) -> list[str]:
    """Drop what is to be hidden; say of columns that cannot hold the column's values from now on that they are another's."""
    wanted, alter = _wanted(shape), f"ALTER TABLE {log_of(shape)}"
    gone = [h for h in held if h.origin and h.origin[1] in shape.hidden]
    other = [
        h for h in held if h.origin and h.origin in wanted and not _holds(h.kind, _kind(wanted[h.origin], h.in_key))
    ]
    return [
        *(f"{alter} DROP COLUMN IF EXISTS {quote(h.name)}" for h in gone),
        *(f"{alter} COMMENT COLUMN {quote(h.name)} 'set aside'" for h in other),
    ]


def _moved(held: list[_Held], shape: Shape) -> list[str]:
    """Give every column whose name is another's now a name of its own."""
    wanted, names = _wanted(shape), {column.name for column in shape.columns}
    moved = [h for h in held if h.name not in SERVICE_COLUMNS and not h.in_key]
    renamed = [h for h in moved if h.origin and (c := wanted.get(h.origin)) and c.name != h.name]
    in_the_way = [h for h in moved if h.origin not in wanted and h.name in names]
    alter = f"ALTER TABLE {log_of(shape)} RENAME COLUMN"
    return [
        *(f"{alter} {quote(h.name)} TO {quote(_aside(h.name))}" for h in in_the_way),
        *(f"{alter} {quote(h.name)} TO {quote(_passing(h))}" for h in renamed if h.name != _passing(h)),
    ]


def _named(held: list[_Held], shape: Shape) -> list[str]:
    """Give every column its name, make the new ones, and widen those that hold more now."""
    found = {h.origin: h for h in held if h.origin}
    alter, statements = f"ALTER TABLE {log_of(shape)}", []
    for origin, column in _wanted(shape).items():
        kind, name = _kind(column, column.name in shape.key), quote(column.name)
        if (there := found.get(origin)) is None:
            statements.append(f"{alter} ADD COLUMN IF NOT EXISTS {name} {kind} COMMENT '{_origin(shape, column)}'")
            continue
        if there.name != column.name:
            statements.append(f"{alter} RENAME COLUMN {quote(there.name)} TO {name}")
        if there.kind != kind and not there.in_key:
            statements.append(f"{alter} MODIFY COLUMN {name} {kind}")
    return statements


def _wanted(shape: Shape) -> dict[tuple[int, int], Column]:
    return {(shape.relation, column.number): column for column in shape.columns}


def _holds(kind: str, wider: str) -> bool:
    """Whether every value of the one type is one of the other, so that the column can be altered in place."""
    one, other = (_NULLABLE.sub(r"\1", each) for each in (kind, wider))
    if one == other:
        return True
    if one in _WIDTHS and other in _WIDTHS:
        return _WIDTHS.index(one) < _WIDTHS.index(other)
    left, right = _DECIMAL.fullmatch(one), _DECIMAL.fullmatch(other)
    if left is None or right is None:
        return False
    scales, digits = (int(left[2]), int(right[2])), (int(left[1]), int(right[1]))
    return scales[0] <= scales[1] and digits[0] - scales[0] <= digits[1] - scales[1]


def _passing(held: _Held) -> str:
    assert held.origin is not None
    return f"__column_{held.origin[1]}"


def _aside(name: str) -> str:
    return f"{name}__until_{datetime.now(UTC):%Y%m%d%H%M%S}"
