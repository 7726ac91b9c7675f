"""Table shapes as the source's catalog gives them: columns with types, the primary key, the replica identity.

The catalog is the only authority on shapes; nothing is guessed from events.
"""

import fnmatch
import re
from dataclasses import dataclass, field
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row, dict_row

ReplicaIdentity = Literal["default", "nothing", "full", "index"]
_IDENTITIES: dict[str, ReplicaIdentity] = {"d": "default", "n": "nothing", "f": "full", "i": "index"}


@dataclass(frozen=True)
class Column:
    """One column: its name, the type's catalog name (``int4``, ``numeric``, ``_text``) and modifiers."""

    name: str
    type: str
    nullable: bool
    precision: int | None = None
    scale: int | None = None
    generated: bool = False


@dataclass(frozen=True)
class Shape:
    """A captured table: where it is, its columns in catalog order, its key in key order."""

    source: str
    schema: str
    table: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    replica_identity: ReplicaIdentity = "default"
    deferrable_key: bool = field(default=False)

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
            "replica_identity": self.replica_identity,
            "columns": [vars(column) for column in self.columns],
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
            columns=tuple(Column(**column) for column in document["columns"]),
        )


_TABLES = """
SELECT n.nspname AS schema, c.relname AS table, c.oid::int8 AS oid, c.relreplident::text AS identity,
       i.indisprimary IS TRUE AND NOT i.indimmediate AS deferrable_key,
       coalesce((SELECT array_agg(a.attname::text ORDER BY k.n)
                 FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
                 JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum), '{}') AS key
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence = 'p'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY 1, 2
"""

_COLUMNS = """
SELECT a.attname AS name,
       CASE t.typtype WHEN 'e' THEN 'enum' ELSE t.typname END AS type, NOT a.attnotnull AS nullable, a.attgenerated <> '' AS generated,
       CASE WHEN t.typname = 'numeric' AND a.atttypmod > 0 THEN (a.atttypmod - 4) >> 16 & 65535 END AS precision,
       CASE WHEN t.typname = 'numeric' AND a.atttypmod > 0 THEN a.atttypmod - 4 & 2047 END AS scale
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


def read_shapes(connection: psycopg.Connection[Any], source: str) -> list[Shape]:
    """The shape of every ordinary or partitioned table of the database, outside the system's schemas.

    Generated columns are left out: PostgreSQL before 18 does not replicate them, so neither path may carry them.
    """
    shapes = []
    with connection.cursor(row_factory=dict_row) as tables:
        for table in tables.execute(_TABLES).fetchall():
            with connection.cursor(row_factory=class_row(Column)) as columns:
                found = columns.execute(_COLUMNS, [table["oid"]]).fetchall()
            shapes.append(
                Shape(
                    source=source,
                    schema=table["schema"],
                    table=table["table"],
                    columns=tuple(column for column in found if not column.generated),
                    key=tuple(table["key"]),
                    replica_identity=_IDENTITIES[table["identity"]],
                    deferrable_key=bool(table["deferrable_key"]),
                )
            )
    return shapes


def matching(shapes: list[Shape], globs: tuple[str, ...]) -> list[Shape]:
    """Those of the shapes whose ``schema.table`` matches one of the globs."""
    return [shape for shape in shapes if any(fnmatch.fnmatchcase(shape.qualified, glob) for glob in globs)]
