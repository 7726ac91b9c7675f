"""The raw table of a captured one, and the statements that fill it from the stream and from a backfill.

Both statements hand the server bytes as they come (Debezium's JSON, COPY's text) and let its parsers read them straight
into the column types; nothing is decoded here. Non-key columns are read as Nullable and then cast strictly, so that a
NULL where the source forbids one fails the insert instead of becoming a zero.

A row of an append-only table has no key. One that came with the stream is known by where it lies in the log; a copied one by its
number in the copy, in a partition of its own, which each copy replaces whole.
"""

from cdc.catalog import Column, Shape
from cdc.clickhouse import quote
from cdc.floors import NOTHING, Dead
from cdc.types import clickhouse_type, mapping
from cdc.version import COMMIT_SHIFT, EPOCH_SHIFT, ROW_SHIFT

SERVICE_COLUMNS = {
    "_version": "UInt128",
    "_deleted": "UInt8",
    "_committed_at": "DateTime64(6, 'UTC')",
    "_ingested_at": "DateTime64(6, 'UTC')",
    "_batch": "UInt64",
}

APPEND_ONLY_COLUMNS = {"_copied": "UInt8", "_row": "UInt128", "_transaction": "UInt64"}
"""Of an append-only table: whether a row was copied, which one it is, and the transaction that the stream names."""

_BATCHES = "INDEX _batches _batch TYPE minmax GRANULARITY 1"
"""So that who asks for what was written since, as every incremental mart does, reads what was written since."""

STREAM_SETTINGS = {
    "max_threads": 1,  # several inserts run beside each other; one thread each is faster than splitting the text of one
    "input_format_parallel_parsing": 0,
    "date_time_input_format": "best_effort",
    "input_format_null_as_default": 1,  # only for a whole missing image; its columns are Nullable
    "input_format_skip_unknown_fields": 0,  # a column that the shape does not know must fail the insert
    "input_format_json_ignore_unknown_keys_in_named_tuple": 0,
    "input_format_json_read_objects_as_strings": 1,
    "async_insert": 0,
}
COPY_SETTINGS = {
    "date_time_input_format": "best_effort",
    "input_format_null_as_default": 0,
    "input_format_parallel_parsing": 0,  # several inserts run at once: cutting each up costs more than it gains
    "async_insert": 0,
}

_NO_INSERT = "the table is declared append_only, and this change is no INSERT; resync it, or give it a key"

# Debezium's envelope around the row images, whole: an unknown field is a fault, not noise. Of `source` four facts are used of sixteen:
# kept as text and searched, it costs a quarter of the whole insert less than as columns. A name within it cannot be mistaken for one
# of its fields, as quotation marks in values are escaped.
_TIMES = "ts_ms Nullable(Int64), ts_us Nullable(Int64), ts_ns Nullable(Int64)"
_ENVELOPE = f"source String, transaction Nullable(String), op String, {_TIMES}"
_LSN = "simpleJSONExtractUInt(source, 'lsn')"
_TRANSACTION = "simpleJSONExtractUInt(source, 'txId')"  # 0 where it is null
_SEQUENCE = "simpleJSONExtractString(source, 'sequence')"
_COMMITTED_AT = "fromUnixTimestamp64Micro(simpleJSONExtractInt(source, 'ts_us'), 'UTC')"


def qualified(shape: Shape) -> str:
    """Quoted ``database.table`` of the raw table; of a copy that is being made beside it, a name that no raw table has."""
    if shape.staged:
        return f"raw_millrace.{quote(f'{shape.topic} anew')}"
    return f"{quote(shape.raw_database)}.{quote(shape.raw_table)}"


def columns_of(shape: Shape) -> dict[str, str]:
    """Every column of the raw table with its ClickHouse type, in order."""
    columns = {column.name: clickhouse_type(column) for column in shape.columns}
    return columns | (APPEND_ONLY_COLUMNS if shape.append_only else {}) | SERVICE_COLUMNS


def key_names(shape: Shape) -> tuple[str, ...]:
    """The columns by which the raw table knows a row, in the order of its sorting key."""
    return ("_copied", "_row") if shape.append_only else shape.key


def create_statement(shape: Shape) -> str:
    """DDL of the raw table. Retries of one insert are dropped by its token (the deduplication window)."""
    columns = ",\n    ".join(f"{quote(name)} {kind}" for name, kind in columns_of(shape).items())
    # a key itself is never NULL, but elements of an array in it may be
    nullable = ", allow_nullable_key = 1" if any(column.element for column in shape.key_columns) else ""
    return (
        f"CREATE TABLE IF NOT EXISTS {qualified(shape)} (\n    {columns},\n    {_BATCHES}\n)\n"
        f"{engine_of(shape)}\n"
        f"SETTINGS non_replicated_deduplication_window = 1000{nullable}"
    )


def engine_of(shape: Shape) -> str:
    """The raw table's engine with its partitions and sorting key, in DDL."""
    key = ", ".join(quote(name) for name in key_names(shape))
    partitions = " PARTITION BY _copied" if shape.append_only else ""
    return f"ENGINE = ReplacingMergeTree(_version, _deleted){partitions} ORDER BY ({key})"


def alter_statements(
    shape: Shape, added: tuple[str, ...], dropped: tuple[str, ...], loosened: tuple[str, ...]
) -> list[str]:
    """DDL that brings a raw table to the shape, each safe to repeat: ``loosened`` columns may hold NULL from then on."""
    table, kinds = f"ALTER TABLE {qualified(shape)}", columns_of(shape)
    return [
        *(f"{table} ADD COLUMN IF NOT EXISTS {quote(name)} {kinds[name]}" for name in added),
        *(f"{table} MODIFY COLUMN {quote(name)} {kinds[name]}" for name in loosened),
        *(f"{table} DROP COLUMN IF EXISTS {quote(name)}" for name in dropped),
    ]


def stream_insert(shape: Shape, epoch: int, batch: int, *, moved: bool = False, dead: Dead = NOTHING) -> str:
    """INSERT that reads Debezium messages, one JSON object a line.

    Args:
        shape: the table's shape; every field of the row images must be in it.
        epoch: the epoch of all messages of the batch.
        batch: the batch number for ``_batch``.
        moved: whether the rows are the insert halves of key changes, whose version is one above the delete half's.
        dead: what is to be left out.

    A change of an append-only table that is no INSERT fails the statement.
    """
    values = stream_values(shape, epoch, batch, moved=moved)
    texts = [mapping(column).digest_target(_stream_value(column, True)) for column in shape.key_columns]
    alive = dead.alive(values["_version"], _TRANSACTION, texts)
    return _insert(shape, list(values.values()), stream_structure(shape), "JSONEachRow", alive)


def stream_structure(shape: Shape) -> str:
    """What a Debezium message is read as: its fields with their types."""
    key = set(shape.key)
    before = ", ".join(f"{quote(c.name)} {_image_type(c, c.name in key, before=True)}" for c in shape.columns)
    after = ", ".join(f"{quote(c.name)} {_image_type(c, c.name in key)}" for c in shape.columns)
    return f"before Tuple({before}), after Tuple({after}), {_ENVELOPE}"


def stream_values(shape: Shape, epoch: int, batch: int, *, moved: bool = False) -> dict[str, str]:
    """For each column of the raw table what it gets from a message that was read so; the arguments are `stream_insert`'s."""
    values = {column.name: _stream_value(column, column.name in shape.key) for column in shape.columns}
    commit = f"if(startsWith({_SEQUENCE}, '[null'), 0, toUInt64(splitByChar('\"', {_SEQUENCE})[2]))"
    version = (
        f"bitShiftLeft(toUInt128({epoch}), {EPOCH_SHIFT}) + bitShiftLeft(toUInt128({commit}), {COMMIT_SHIFT}) + {_LSN}"
        + (" + 1" if moved else "")
    )
    deleted = "op = 'd'"
    if shape.append_only:
        number = f"toUInt64OrZero(JSONExtractString({_SEQUENCE}, 3))"
        row = (
            f"bitShiftLeft(toUInt128({epoch}), {EPOCH_SHIFT}) + bitShiftLeft(toUInt128({_LSN}), {ROW_SHIFT}) + {number}"
        )
        values |= {"_copied": "0", "_row": row, "_transaction": _TRANSACTION}
        deleted = f"throwIf(op != 'c', '{_NO_INSERT}')"
    service = (version, deleted, _COMMITTED_AT, "now64(6, 'UTC')", str(batch))
    return values | dict(zip(SERVICE_COLUMNS, service, strict=True))


def read_insert(shape: Shape, batch: int) -> str:
    """INSERT that reads rows as `copy_insert` does, each behind its own version and its commit's time (microseconds)."""
    columns = ", ".join(f"{quote(column.name)} {_copied_type(column)}" for column in shape.columns)
    structure = f"`_v` UInt128, `_at` Int64, {columns}"
    service = ["`_v`", "0", "fromUnixTimestamp64Micro(`_at`, 'UTC')", "now64(6, 'UTC')", str(batch)]
    return _insert(shape, [_copied_value(column) for column in shape.columns] + service, structure, "TabSeparated")


def copy_insert(shape: Shape, version: int, batch: int) -> str:
    """INSERT that reads COPY's text format (tab-separated), every row stamped with one version."""
    structure = ", ".join(f"{quote(column.name)} {_copied_type(column)}" for column in shape.columns)
    service = [f"toUInt128('{version}')", "0", "now64(6, 'UTC')", "now64(6, 'UTC')", str(batch)]
    return _insert(shape, [_copied_value(column) for column in shape.columns] + service, structure, "TabSeparated")


def append_only_copy_insert(shape: Shape, staging: str, version: int) -> str:
    """INSERT into ``staging`` that reads COPY's text format, every row behind its number in the copy. ``_batch`` is left 0."""
    structure = ", ".join(
        ["`_n` UInt64", *(f"{quote(column.name)} {_copied_type(column)}" for column in shape.columns)]
    )
    service = [f"toUInt128('{version}')", "0", "now64(6, 'UTC')", "now64(6, 'UTC')", "0"]
    values = [*(_copied_value(column) for column in shape.columns), "1", "`_n`", "0", *service]
    return _insert(shape, values, structure, "TabSeparated", into=staging)


def sweep_insert(shape: Shape, below: int, batch: int, among: str = "1") -> str:
    """INSERT of a tombstone of version ``below`` for every live row of a lower version that meets the condition ``among``:
    what is not above it is dead."""
    key = ", ".join(quote(name) for name in key_names(shape))
    service = f"toUInt128('{below}'), 1, now64(6, 'UTC'), now64(6, 'UTC'), {batch}"
    names = ", ".join([key, *SERVICE_COLUMNS])
    return (
        f"INSERT INTO {qualified(shape)} ({names}) SELECT {key}, {service} FROM {qualified(shape)} FINAL "
        f"WHERE _version < toUInt128('{below}') AND ({among})"
    )


def _insert(
    shape: Shape, values: list[str], structure: str, data_format: str, condition: str = "", *, into: str = ""
) -> str:
    names = ", ".join(quote(name) for name in columns_of(shape))
    literal = structure.replace("\\", "\\\\").replace("'", "\\'")
    where = f" WHERE {condition}" if condition else ""
    return (
        f"INSERT INTO {into or qualified(shape)} ({names}) SELECT {', '.join(values)} FROM input('{literal}'){where} "
        f"FORMAT {data_format}"
    )


def _copied_type(column: Column) -> str:
    if mapping(column).direct:
        return clickhouse_type(column)
    return "Nullable(String)" if column.optional else "String"


def _copied_value(column: Column) -> str:
    return _parsed(column, quote(column.name), nullable=column.optional)


def _image_type(column: Column, is_key: bool, *, before: bool = False) -> str:
    """The type a field of a row image is read as; of a before image only the key is used, the rest is read as text."""
    kind = mapping(column)
    read = kind.clickhouse if kind.direct else "String"
    if is_key:
        return read
    return "Nullable(String)" if before else f"Nullable({read})"


def _stream_value(column: Column, is_key: bool) -> str:
    kind = mapping(column)
    after = _field(column, "after")
    if is_key:
        value = f"if(op = 'd', {_field(column, 'before')}, {after})"
        return _parsed(column, value, nullable=False)
    if column.optional:
        return f"if(op = 'd', NULL, {_parsed(column, after, nullable=True)})"
    if kind.direct:
        name = kind.clickhouse.replace("'", "\\'")
        return f"CAST(if(op = 'd', defaultValueOfTypeName('{name}'), {after}), '{name}')"
    return _parsed(column, f"CAST(if(op = 'd', '{kind.zero}', {after}), 'String')", nullable=False)


def _parsed(column: Column, read: str, *, nullable: bool) -> str:
    """What was read, as a value of the column's type; every branch is a value, as both sides of an if may be computed."""
    kind = mapping(column)
    if kind.direct:
        return read
    if not nullable:
        return kind.from_text(read)
    value = kind.from_text(f"ifNull({read}, '{kind.zero}')")
    return f"if(isNull({read}), NULL, {value})"


def _field(column: Column, image: str) -> str:
    """One field of a row image, as it was read."""
    name = "'" + column.name.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return f"tupleElement({image}, {name})"
