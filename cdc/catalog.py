"""Table shapes as the source's catalog gives them: columns with types, the primary key, the replica identity.

The catalog is the only authority on shapes; nothing is guessed from events. What a source file declares about columns
is laid over them here, so that every path sees the same columns.
"""

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from cdc.source_file import TableColumns

ReplicaIdentity = Literal["default", "nothing", "full", "index"]
_IDENTITIES: dict[str, ReplicaIdentity] = {"d": "default", "n": "nothing", "f": "full", "i": "index"}


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        type: the catalog's name of its type (``int4``, ``numeric``, ``_text``, a composite's own name; ``enum`` for all
            enums); of a domain, the type that it is over.
        precision, scale: of a numeric, or of an array of them, as declared.
        element: of an array, the name of its elements' type.
        dimensions: of an array, as declared; PostgreSQL does not hold values to it.
        stored_as: what the source file declares in place of the usual mapping.
        mask: how the source file has it masked (`cdc.masking`); None: it is shown.
        number: the catalog's number, which a column keeps for life and never shares, whatever it is called.
        late: whether the copy is older than the column, or than its NOT NULL: there it may be NULL until it is mended.
    """

    name: str
    type: str
    nullable: bool
    precision: int | None = None
    scale: int | None = None
    generated: bool = False
    element: str | None = None
    dimensions: int = 0
    stored_as: str | None = None
    mask: str | None = None
    number: int = 0
    late: bool = field(default=False, compare=False)

    @property
    def optional(self) -> bool:
        """Whether the copy's column may hold NULL."""
        return self.nullable or self.late


@dataclass(frozen=True)
class Shape:
    """A captured table: where it is, its columns in catalog order, its key in key order.

    ``replica_identity`` of a partitioned table is that of its leaves, as their rows are what is logged: the weakest.
    ``generated`` names the columns that are left out because they are computed. ``append_only``: it has no key, and rows
    are only inserted, as the source file declares; its copy knows a row by where it came from.

    The rest does not make a shape another one. ``relation`` is the table's number in the catalog, which stays when it is
    renamed; ``mark`` is another text after any ALTER of its columns or key, also one that was taken back since. ``former``
    are names that columns of it had once. ``hidden`` are the numbers of the columns that the source file excludes. ``staged``: its
    copy is being made beside the one that readers see. ``history``: every version of its rows is kept in a log beside its copy
    (`cdc.sinks.clickhouse.history`). ``since``: changes of a lower version are of a former shape, and cannot be read in this one.
    """

    source: str
    schema: str
    table: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    replica_identity: ReplicaIdentity = "default"
    deferrable_key: bool = field(default=False)
    generated: tuple[str, ...] = ()
    partitioned: bool = False
    append_only: bool = False
    relation: int = field(default=0, compare=False)
    mark: str = field(default="", compare=False)
    former: tuple[str, ...] = field(default=(), compare=False)
    hidden: tuple[int, ...] = field(default=(), compare=False)
    staged: bool = field(default=False, compare=False)
    history: bool = field(default=False, compare=False)
    since: int = field(default=0, compare=False)

    @property
    def rows(self) -> sql.Composable:
        """What to select from in the source: the table without those that inherit from it, which are tables of their own."""
        table = sql.Identifier(self.schema, self.table)
        return table if self.partitioned else sql.SQL("ONLY {}").format(table)

    @property
    def qualified(self) -> str:
        """``schema.table``, the name used in source files and messages."""
        return f"{self.schema}.{self.table}"

    @property
    def topic(self) -> str:
        """The Kafka topic that Debezium writes this table's changes to; it replaces what Kafka does not allow by ``_``."""
        return re.sub(r"[^a-zA-Z0-9._-]", "_", f"{self.source}.{self.schema}.{self.table}")

    @property
    def raw_database(self) -> str:
        """ClickHouse database of the copy."""
        return f"raw_{self.source}"

    @property
    def raw_table(self) -> str:
        """ClickHouse table of the copy; tables outside ``public`` carry their schema's name."""
        return self.table if self.schema == "public" else f"{self.schema}__{self.table}"

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The key's columns in key order."""
        by_name = {column.name: column for column in self.columns}
        return tuple(by_name[name] for name in self.key)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form, kept in the engine's state."""
        return {
            "source": self.source, "schema": self.schema, "table": self.table, "key": list(self.key),
            "replica_identity": self.replica_identity, "partitioned": self.partitioned, "append_only": self.append_only,
            "columns": [vars(column) for column in self.columns],
            "relation": self.relation, "mark": self.mark, "former": list(self.former),
            "hidden": list(self.hidden), "history": self.history, "since": self.since,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> "Shape":
        """The inverse of `to_dict`."""
        return cls(
            source=document["source"],
            schema=document["schema"],
            table=document["table"],
            key=tuple(document["key"]),
            replica_identity=document["replica_identity"],
            partitioned=document.get("partitioned", False),
            append_only=document.get("append_only", False),
            columns=tuple(Column(**column) for column in document["columns"]),
            relation=document.get("relation", 0),
            mark=document.get("mark", ""),
            former=tuple(document.get("former", ())),
            hidden=tuple(document.get("hidden", ())),
            history=document.get("history", False),
            since=document.get("since", 0),
        )


# Whichever of its columns is altered, its row in the catalog is written anew, by another transaction.
_MARK = """
md5(concat_ws(' ', i.indkey::text, i.indimmediate::text, (
    SELECT string_agg(a.attnum || ':' || a.xmin::text, ',' ORDER BY a.attnum) FROM pg_attribute a
    WHERE a.attrelid = c.oid AND a.attnum > 0)))
"""

_TABLES = f"""
SELECT n.nspname AS schema, c.relname AS table, c.oid::int8 AS oid, c.relkind = 'p' AS partitioned, {_MARK} AS mark,
       coalesce(leaves.identity, c.relreplident::text) AS identity,
       i.indisprimary IS TRUE AND NOT i.indimmediate AS deferrable_key,
       coalesce((SELECT array_agg(a.attname::text ORDER BY k.n)
                 FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum), '{{}}') AS key
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
LEFT JOIN LATERAL (
    SELECT CASE WHEN bool_or(l.relreplident = 'n') THEN 'n' WHEN count(DISTINCT l.relreplident) = 1 THEN min(l.relreplident::text)
                ELSE 'd' END AS identity
    FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid
    WHERE t.isleaf AND c.relkind = 'p' HAVING count(*) > 0) leaves ON true
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY 1, 2
"""

# A domain, of a domain or not, is what it is over; its modifier is the innermost that is set. Only hstore is not looked
# for behind a domain: its number differs by database, and Debezium's messages know a domain by its own name alone.
_COLUMNS = """
WITH RECURSIVE base (type, over, modifier) AS (
    SELECT oid, oid, NULL::int4 FROM pg_type
    UNION ALL
    SELECT b.type, d.typbasetype, coalesce(nullif(d.typtypmod, -1), b.modifier)
    FROM base b JOIN pg_type d ON d.oid = b.over AND d.typtype = 'd'
), kind AS (
    SELECT b.type, b.modifier, t.oid,
           CASE WHEN t.typtype = 'e' THEN 'enum' WHEN b.type <> b.over AND t.typname = 'hstore' THEN 'domain over hstore'
                ELSE t.typname END::text AS name
    FROM base b JOIN pg_type t ON t.oid = b.over AND t.typtype <> 'd'
)
SELECT a.attrelid::int8 AS oid, a.attnum::int4 AS number, a.attname::text AS name, whole.name AS type, NOT a.attnotnull AS nullable,
       a.attgenerated <> '' AS generated, part.name AS element, greatest(a.attndims, own.typndims)::int4 AS dimensions,
       (m.typmod - 4) >> 16 & 65535 AS precision, (((m.typmod - 4) & 2047) # 1024) - 1024 AS scale
FROM pg_attribute a
JOIN pg_type own ON own.oid = a.atttypid
JOIN kind whole ON whole.type = a.atttypid
LEFT JOIN pg_type of ON of.typarray = whole.oid
LEFT JOIN kind part ON part.type = of.oid
LEFT JOIN LATERAL (
    SELECT coalesce(nullif(a.atttypmod, -1), whole.modifier, part.modifier) AS typmod
    WHERE coalesce(part.name, whole.name) = 'numeric') m ON m.typmod >= 4
WHERE a.attrelid = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""


def read_shapes(
    connection: psycopg.Connection[Any], source: str, declared: Mapping[str, TableColumns] | None = None
) -> list[Shape]:
    """The shape of every ordinary or partitioned table of the database, outside the system's schemas.

    Generated columns are left out: PostgreSQL before 18 does not replicate them, and later versions only when asked, so
    neither path carries them. ``declared`` is the ``columns:`` part of the source file: what it excludes is left out,
    too; names in it that do not exist are passed over here and refused by `cdc.connect.inspection`.
    """
    with connection.cursor(row_factory=dict_row) as cursor:
        tables = cursor.execute(_TABLES).fetchall()
        columns: dict[int, list[Column]] = {table["oid"]: [] for table in tables}
        for column in cursor.execute(_COLUMNS, [list(columns)]).fetchall():
            columns[column.pop("oid")].append(Column(**column))
    shapes = []
    for table in tables:
        wishes = (declared or {}).get(f"{table['schema']}.{table['table']}", TableColumns())
        found = [column for column in columns[table["oid"]] if column.name not in wishes.exclude]
        shapes.append(
            Shape(
                source=source,
                schema=table["schema"],
                table=table["table"],
                columns=tuple(
                    replace(column, stored_as=wishes.types.get(column.name), mask=wishes.mask.get(column.name))
                    for column in found
                    if not column.generated
                ),
                key=wishes.key or tuple(table["key"]),
                replica_identity=_IDENTITIES[table["identity"]],
                deferrable_key=bool(table["deferrable_key"]) and not wishes.key,
                partitioned=table["partitioned"],
                append_only=wishes.append_only,
                generated=tuple(column.name for column in found if column.generated),
                relation=table["oid"],
                mark=table["mark"],
                hidden=tuple(c.number for c in columns[table["oid"]] if c.name in wishes.exclude),
            )
        )
    return shapes


_MARKS = f"""
SELECT n.nspname || '.' || c.relname, c.oid::int8, {_MARK}
FROM unnest(%s::text[], %s::text[]) AS asked (schema, name)
JOIN pg_namespace n ON n.nspname = asked.schema JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = asked.name
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'
"""


def altered(connection: psycopg.Connection[Any], shapes: Iterable[Shape]) -> list[Shape]:
    """Those of the shapes that the catalog has otherwise now: altered, or their name is another table's. Not those that are
    gone: nothing more comes of them. Cheap enough to be asked before anything is written."""
    known = {shape.qualified: shape for shape in shapes if shape.mark}
    if not known:
        return []
    names = [[shape.schema for shape in known.values()], [shape.table for shape in known.values()]]
    rows = connection.execute(_MARKS, names).fetchall()
    return [known[name] for name, *now in rows if now != [known[name].relation, known[name].mark]]


def matching(shapes: list[Shape], globs: tuple[str, ...]) -> list[Shape]:
    """Those of the shapes whose ``schema.table`` matches one of the globs."""
    return [shape for shape in shapes if any(fnmatch.fnmatchcase(shape.qualified, glob) for glob in globs)]
