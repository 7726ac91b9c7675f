"""What the source's catalog says about how tables hang together: foreign keys and unique indexes."""

from dataclasses import dataclass
from typing import Any

import psycopg


@dataclass(frozen=True)
class Constraints:
    """What the catalog says about links: foreign keys (holder, its columns, target, its columns) and unique indexes."""

    foreign_keys: tuple[tuple[str, tuple[str, ...], str, tuple[str, ...]], ...]
    unique: dict[str, tuple[frozenset[str], ...]]


_NAMES = """ARRAY(SELECT a.attname::text FROM unnest({keys}) WITH ORDINALITY AS k (attnum, n)
 JOIN pg_attribute a ON a.attrelid = {table} AND a.attnum = k.attnum ORDER BY k.n)"""
_TABLE = """(SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid = {})"""
_FOREIGN_KEYS = f"""
SELECT {_TABLE.format("f.conrelid")}, {_NAMES.format(keys="f.conkey", table="f.conrelid")},
       {_TABLE.format("f.confrelid")}, {_NAMES.format(keys="f.confkey", table="f.confrelid")}
FROM pg_constraint f WHERE f.contype = 'f' AND f.conparentid = 0"""
_UNIQUE = f"""
SELECT {_TABLE.format("i.indrelid")}, {_NAMES.format(keys="i.indkey::int2[]", table="i.indrelid")}
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND t.relkind IN ('r', 'p')"""


def read_constraints(connection: psycopg.Connection[Any]) -> Constraints:
    """The foreign keys and unique indexes of the whole database."""
    keys = tuple((a, tuple(b), c, tuple(d)) for a, b, c, d in connection.execute(_FOREIGN_KEYS).fetchall())
    unique: dict[str, tuple[frozenset[str], ...]] = {}
    for table, columns in connection.execute(_UNIQUE).fetchall():
        unique[table] = (*unique.get(table, ()), frozenset(columns))
    return Constraints(keys, unique)
