"""Ranges of a table's blocks: where to cut, and the SQL that reads one range.

Cut by place, not by key: that needs no sort and no index, reads each block once, bounds a range by bytes, and serves
every key and collation alike. It is safe because of the fence: a row that has not changed since stays where it was, in
exactly one range; one that has changed may be seen twice or not at all, and its change is in the stream, above the
fence. Only a rewrite (VACUUM FULL, CLUSTER, TRUNCATE, some ALTER TABLE) moves rows without a change in the stream: the
relation's file then has another number, and the backfill must begin anew. Blocks that were added after the cut hold
nothing that was there at the fence.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from cdc.catalog import Shape
from cdc.types import in_source, mapping

CHUNK_BYTES = 8 << 20  # of the table with its large values: seconds of work at most, so little is lost by a kill
_MOST_CHUNKS = 20_000


class Blocks(NamedTuple):
    """Blocks ``first`` to below ``beyond`` of one relation, which had that file when it was cut; both None: all of it."""

    relation: int
    filenode: int
    first: int | None
    beyond: int | None


@dataclass(frozen=True)
class _Leaf:
    relation: int
    filenode: int
    heap: bool
    blocks: int
    bytes: int


# The table itself, or the leaves under it. Only a heap keeps rows in blocks that can be asked for.
_LEAVES = """
WITH RECURSIVE tree AS (
    SELECT oid, relkind FROM pg_class WHERE oid = to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text))
    UNION ALL
    SELECT c.oid, c.relkind FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid JOIN pg_class c ON c.oid = i.inhrelid
    WHERE tree.relkind = 'p')
SELECT c.oid::int8 AS relation, pg_relation_filenode(c.oid)::int8 AS filenode, a.amname = 'heap' AS heap,
       pg_relation_size(c.oid) / current_setting('block_size')::int8 AS blocks, pg_table_size(c.oid) AS bytes
FROM tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_am a ON a.oid = c.relam
WHERE c.relkind = 'r' ORDER BY 1
"""


def cut(source: psycopg.Connection[Any], shape: Shape) -> list[Blocks]:
    """Ranges of about `CHUNK_BYTES` that together hold every row of now. Call it after the fence has passed."""
    ranges: list[Blocks] = []
    with source.cursor(row_factory=class_row(_Leaf)) as cursor:
        leaves = cursor.execute(_LEAVES, {"schema": shape.schema, "table": shape.table}).fetchall()
    size = max(CHUNK_BYTES, sum(leaf.bytes for leaf in leaves) // _MOST_CHUNKS)
    for leaf in leaves:
        if not leaf.heap:
            ranges.append(Blocks(leaf.relation, leaf.filenode, None, None))
            continue
        step = max(1, leaf.blocks * size // max(leaf.bytes, 1))
        ranges += [
            Blocks(leaf.relation, leaf.filenode, first, min(first + step, leaf.blocks))
            for first in range(0, leaf.blocks, step)
        ]
    return ranges


def still_there(source: psycopg.Connection[Any], shape: Shape, blocks: Blocks) -> sql.Identifier | None:
    """The relation's name, locked against rewrites until the transaction ends; None when it was rewritten or taken away.

    Must be called within a transaction.
    """
    row = source.execute(_NAME, {"relation": blocks.relation}).fetchone()
    if row is None:
        return None
    name = sql.Identifier(*row)
    try:
        source.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(name))
    except psycopg.errors.UndefinedTable:
        return None
    with source.cursor(row_factory=class_row(_Leaf)) as cursor:
        leaves = cursor.execute(_LEAVES, {"schema": shape.schema, "table": shape.table}).fetchall()
    unchanged = any((leaf.relation, leaf.filenode) == (blocks.relation, blocks.filenode) for leaf in leaves)
    return name if unchanged and source.execute(_NAME, {"relation": blocks.relation}).fetchone() == row else None


_NAME = """
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %(relation)s
"""


def copy_statement(shape: Shape, name: sql.Identifier, blocks: Blocks) -> sql.Composed:
    """COPY of one range to text, each column spelled as its type's mapping says."""
    return copy_where(shape, sql.SQL("ONLY {}").format(name), _condition(blocks))


def copy_where(shape: Shape, rows: sql.Composable, condition: sql.Composable) -> sql.Composed:
    """COPY of the rows (a FROM item) that meet a condition."""
    values = [in_source(mapping(column).copy, column) for column in shape.columns]
    return sql.SQL("COPY (SELECT {values} FROM {rows} WHERE {condition}) TO STDOUT (FORMAT text)").format(
        values=sql.SQL(", ").join(values), rows=rows, condition=condition
    )


def _condition(blocks: Blocks) -> sql.Composable:
    if blocks.first is None or blocks.beyond is None:
        return sql.SQL("true")
    return sql.SQL("ctid >= {} AND ctid < {}").format(_tid(blocks.first), _tid(blocks.beyond))


def _tid(block: int) -> sql.Composed:
    return sql.SQL("{}::tid").format(sql.Literal(f"({block},0)"))
