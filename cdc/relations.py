"""Where a table's rows lie: the table itself, or the leaves of a partitioned one, with their size in blocks."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from cdc.catalog import Shape
from cdc.errors import PermanentError


@dataclass(frozen=True)
class Leaf:
    """One relation that holds rows. Only a heap keeps them in blocks that can be asked for; ``bytes`` counts large values.

    ``filenode`` changes when the relation is rewritten, and its rows with it come to lie elsewhere.
    """

    relation: int
    schema: str
    table: str
    filenode: int
    heap: bool
    blocks: int
    bytes: int

    @property
    def name(self) -> sql.Identifier:
        """Its quoted name; in a FROM clause to be used with ONLY."""
        return sql.Identifier(self.schema, self.table)


_LEAVES = """
WITH RECURSIVE tree AS (
    SELECT oid, relkind FROM pg_class WHERE oid = to_regclass(format('%%I.%%I', %s::text, %s::text))
    UNION ALL
    SELECT c.oid, c.relkind FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid JOIN pg_class c ON c.oid = i.inhrelid
    WHERE tree.relkind = 'p')
SELECT c.oid::int8 AS relation, n.nspname AS schema, c.relname AS table, pg_relation_filenode(c.oid)::int8 AS filenode,
       a.amname = 'heap' AS heap, pg_relation_size(c.oid) / current_setting('block_size')::int8 AS blocks,
       pg_table_size(c.oid) AS bytes
FROM tree JOIN pg_class c ON c.oid = tree.oid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am a ON a.oid = c.relam
WHERE c.relkind = 'r' ORDER BY 1
"""


_THERE = "SELECT to_regclass(format('%%I.%%I', %s::text, %s::text)) IS NOT NULL"


def leaves(source: psycopg.Connection[Any], shape: Shape) -> list[Leaf]:
    """The relations that hold the table's rows; none for a partitioned table without a partition.

    Raises:
        PermanentError: there is no such table: it must not pass for an empty one.
    """
    with source.cursor(row_factory=class_row(Leaf)) as cursor:
        found = cursor.execute(_LEAVES, [shape.schema, shape.table]).fetchall()
    if not found and source.execute(_THERE, [shape.schema, shape.table]).fetchone() == (False,):
        raise PermanentError(
            f"source {shape.source}: {shape.qualified} is not there any more; `millrace cdc plan` says what would change"
        )
    return found


def between(first: int | None, beyond: int | None) -> sql.Composable:
    """The condition for rows in blocks from ``first`` to below ``beyond``; None: no bound."""
    bounds = [("ctid >= {}", first), ("ctid < {}", beyond)]
    given = [
        sql.SQL(form).format(sql.SQL("{}::tid").format(sql.Literal(f"({block},0)")))
        for form, block in bounds
        if block is not None
    ]
    return sql.SQL(" AND ").join(given) if given else sql.SQL("true")
