"""Whether changes of a table can be told apart: its key, and what of an old row PostgreSQL writes to its log.

Publishing a table whose updates have no identity makes the *application's* UPDATE and DELETE fail, so everything here is
found before the publication is touched.
"""

from typing import Any

import psycopg
from psycopg.rows import dict_row

from cdc.catalog import Shape

_INDEXES = """
SELECT i.indisprimary AS is_primary, i.indisreplident AS is_identity, i.indisunique AND i.indimmediate AND i.indisvalid
           AND i.indpred IS NULL AND i.indexprs IS NULL AS is_key,
       ARRAY(SELECT a.attname::text FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS k (attnum)
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum) AS columns
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_index i ON i.indrelid = c.oid
WHERE (n.nspname, c.relname) = (%s, %s)
"""

_REMEDY = "declare a `key:` that is unique, NOT NULL and not deferrable, or `exclude` the table"


def identity_problems(source: psycopg.Connection[Any], shape: Shape, *, declared: bool) -> list[str]:
    """Why the table's key cannot identify changes, if it cannot. ``declared``: the source file names the key."""
    if shape.append_only:
        return (
            [f"`columns.{shape.qualified}.append_only`: {shape.qualified} has a primary key; leave append_only out"]
            if shape.key
            else []
        )
    if not shape.key:
        return [
            f"{shape.qualified} has no primary key, so its changes cannot be told apart; add one, {_REMEDY}; or, when rows are "
            f"only inserted into it, declare `append_only: true`{refused_changes(shape)}"
        ]
    if shape.deferrable_key:
        return [
            f"{shape.qualified} has a deferrable primary key, which cannot identify changes; make it immediate, {_REMEDY}"
        ]
    columns = {column.name: column for column in shape.columns}
    if unknown := [name for name in shape.key if name not in columns]:
        return [] if declared else [f"{shape.qualified}: {', '.join(unknown)} of the key cannot be excluded"]
    with source.cursor(row_factory=dict_row) as cursor:
        indexes = cursor.execute(_INDEXES, [shape.schema, shape.table]).fetchall()
    if not any(index["is_key"] and set(index["columns"]) == set(shape.key) for index in indexes):
        return [f"{shape.qualified}: there is no unique, immediate and whole index on ({', '.join(shape.key)})"]
    if nullable := [name for name in shape.key if columns[name].nullable]:
        return [f"{shape.qualified}: {', '.join(nullable)} of the key may be NULL; make it NOT NULL"]
    return _outside_identity(shape, indexes)


def refused_changes(shape: Shape) -> str:
    """What publishing an append-only table means for the application, to be put behind a statement."""
    if shape.replica_identity == "full":
        return ""
    return ": PostgreSQL refuses the application's UPDATE and DELETE on it from then on"


def _outside_identity(shape: Shape, indexes: list[dict[str, Any]]) -> list[str]:
    """PostgreSQL logs of a deleted row only its replica identity."""
    if shape.replica_identity == "full":
        return []
    marker = "is_identity" if shape.replica_identity == "index" else "is_primary"
    logged = {
        name for index in indexes if index[marker] and shape.replica_identity != "nothing" for name in index["columns"]
    }
    if hidden := sorted(logged - {column.name for column in shape.columns}):
        return [f"{shape.qualified}: {', '.join(hidden)} of its replica identity cannot be excluded"]
    if set(shape.key) <= logged:
        return []
    what = ", ".join(sorted(logged)) or "nothing"
    return [
        f"{shape.qualified}: of a deleted row the log holds {what}, not the key ({', '.join(shape.key)}); "
        "set its REPLICA IDENTITY to FULL or to the key's index"
    ]
