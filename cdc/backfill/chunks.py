"""Ranges of a table's blocks: where to cut, and the SQL that reads one range.

Cut by place, not by key: that needs no sort and no index, reads each block once, bounds a range by bytes, and serves
every key and collation alike. It is safe because of the fence: a row that has not changed since stays where it was, in
exactly one range; one that has changed may be seen twice or not at all, and its change is in the stream, above the
fence. Only a rewrite (VACUUM FULL, CLUSTER, TRUNCATE, some ALTER TABLE) moves rows without a change in the stream: the
relation's file then has another number, and the backfill must begin anew. Blocks that were added after the cut hold
nothing that was there at the fence.
"""

import math
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from cdc.catalog import Shape
from cdc.relations import Leaf, between, leaves
from cdc.types import in_source, mapping

AT_ONCE = 3  # ranges copied at the same time: while ClickHouse takes one, the source reads for the others
CHUNK_BYTES = 32 << 20  # of the table with its large values: a second of work, so little is lost by a kill
LEAST_BYTES = 1 << 20  # a smaller table is not worth cutting
_MOST_CHUNKS = 20_000


class Blocks(NamedTuple):
    """Blocks ``first`` to below ``beyond`` of one relation, which had that file when it was cut; both None: all of it."""

    relation: int
    filenode: int
    first: int | None
    beyond: int | None


def cut(source: psycopg.Connection[Any], shape: Shape) -> list[Blocks]:
    """Ranges of at most about `CHUNK_BYTES`, even in size and as many as keep all workers at work, that together hold
    every row of now. Call it after the fence has passed."""
    ranges: list[Blocks] = []
    found = leaves(source, shape)
    total = sum(leaf.bytes for leaf in found)
    rounds = min(math.ceil(total / (AT_ONCE * CHUNK_BYTES)), _MOST_CHUNKS // AT_ONCE)
    size = max(min(LEAST_BYTES, CHUNK_BYTES), total // max(AT_ONCE * rounds, 1))
    for leaf in found:
        if not leaf.heap:
            ranges.append(Blocks(leaf.relation, leaf.filenode, None, None))
            continue
        step = max(1, math.ceil(leaf.blocks * size / max(leaf.bytes, 1)))
        ranges += [
            Blocks(leaf.relation, leaf.filenode, first, min(first + step, leaf.blocks))
            for first in range(0, leaf.blocks, step)
        ]
    return ranges


def still_there(source: psycopg.Connection[Any], shape: Shape, blocks: Blocks) -> sql.Identifier | None:
    """The relation's name, locked against rewrites until the transaction ends; None when it was rewritten or taken away.

    Must be called within a transaction.
    """
    leaf = _same(source, shape, blocks)
    if leaf is None:
        return None
    try:
        source.execute(sql.SQL("LOCK TABLE ONLY {} IN ACCESS SHARE MODE").format(leaf.name))
    except psycopg.errors.UndefinedTable:
        return None
    now = _same(source, shape, blocks)
    return leaf.name if now is not None and now.name == leaf.name else None


def _same(source: psycopg.Connection[Any], shape: Shape, blocks: Blocks) -> Leaf | None:
    """The leaf that the blocks were cut from, as long as its rows lie where they lay."""
    place = blocks.relation, blocks.filenode
    return next((leaf for leaf in leaves(source, shape) if (leaf.relation, leaf.filenode) == place), None)


def copy_statement(shape: Shape, name: sql.Identifier, blocks: Blocks) -> sql.Composed:
    """COPY of one range to text, each column spelled as its type's mapping says."""
    return copy_where(shape, sql.SQL("ONLY {}").format(name), between(blocks.first, blocks.beyond))


def copy_where(shape: Shape, rows: sql.Composable, condition: sql.Composable) -> sql.Composed:
    """COPY of the rows (a FROM item) that meet a condition."""
    values = [in_source(mapping(column).copy, column) for column in shape.columns]
    return sql.SQL("COPY (SELECT {values} FROM {rows} WHERE {condition}) TO STDOUT (FORMAT text)").format(
        values=sql.SQL(", ").join(values), rows=rows, condition=condition
    )
