"""From the form of a source file and the catalog to document trees whose every node knows its table, key and link.

Without a `foreign_key` in the file the catalog's constraint is taken when there is exactly one between the two tables;
with several, the file must choose. A `one_to_one` that the database does not guarantee by a unique index is refused: it
would fail on the first second row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from cdc.catalog import Column, Shape, read_shapes
from cdc.documents.forms import ForeignKeyForm, NodeForm, TreeForm, parse
from cdc.documents.trees import Field, Link, Node, Tree
from cdc.errors import ConfigurationError
from cdc.source_file import SourceFile

# Values of these types read the same in a change event as in PostgreSQL's own input: a root is found by them.
LINK_TYPES = frozenset({"int2", "int4", "int8", "uuid", "text", "varchar", "bpchar"})


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


def load_trees(source: SourceFile, connection: psycopg.Connection[Any]) -> tuple[Tree, ...]:
    """The trees of a source file, checked against its database.

    Raises:
        ConfigurationError: a table, column or link does not exist, is ambiguous, or has no place in the mapping.
    """
    forms = [parse(source.source, document) for document in source.documents]
    if not forms:
        return ()
    doubled = {form.index for form in forms if sum(other.index == form.index for other in forms) > 1}
    if doubled:
        raise ConfigurationError(f"source {source.source}: two trees write the index {', '.join(sorted(doubled))}")
    shapes = read_shapes(connection, source.source, source.columns)
    constraints = read_constraints(connection)
    return tuple(resolve(source.source, form, shapes, constraints) for form in forms)


def resolve(source: str, form: TreeForm, shapes: Sequence[Shape], constraints: Constraints) -> Tree:
    """Join one form with the catalog; see `load_trees` for what is refused."""
    return Tree(source, form.index, _Resolver(form.index, shapes, constraints).root(form), form.mapping, form.settings)


class _Resolver:
    def __init__(self, index: str, shapes: Sequence[Shape], constraints: Constraints) -> None:
        self._index = index
        self._shapes = {shape.qualified: shape for shape in shapes}
        self._constraints = constraints

    def root(self, form: TreeForm) -> Node:
        if form.nodes.relationship:
            raise self._refused(form.nodes.table, "the root of a tree has no relationship")
        return self._node(form.nodes, None, form.mapping)

    def _node(self, form: NodeForm, parent: Shape | None, mapping: dict[str, dict[str, Any]]) -> Node:
        shape = self._shapes.get(f"{form.schema_name}.{form.table}")
        if shape is None:
            raise self._refused(form.table, f"there is no table {form.schema_name}.{form.table} in the source")
        if not shape.key:
            raise self._refused(form.table, "it has no primary key, which documents are found and ordered by")
        link, many, scalar = None, False, False
        if parent is not None:
            if form.relationship is None:
                raise self._refused(form.table, "a child needs `relationship: {type: one_to_one | one_to_many}`")
            many, scalar = form.relationship.type == "one_to_many", form.relationship.variant == "scalar"
            link = self._link(form, parent, shape, form.relationship.foreign_key)
            if not many and not self._at_most_one(shape, link):
                raise self._refused(
                    form.table,
                    f"one_to_one needs a unique index on ({', '.join(link.child)}); say one_to_many or add the index",
                )
        self._linkable(shape, link.child if link else shape.key)
        fields = self._fields(form, shape)
        if scalar and (len(fields) != 1 or form.children):
            raise self._refused(form.table, "variant scalar shows exactly one column and has no children")
        children = tuple(
            self._node(child, shape, mapping.get(child.label or child.table, {}).get("properties", {}))
            for child in form.children
        )
        for child in children:
            self._linkable(shape, child.link.parent if child.link else ())
        names = [field.name for field in fields] + [child.label for child in children]
        self._named_once(form.table, names, () if scalar else mapping)
        return Node(shape, form.label or form.table, fields, link, many, scalar, children)

    def _fields(self, form: NodeForm, shape: Shape) -> tuple[Field, ...]:
        columns = {column.name: column for column in shape.columns}
        unknown = [
            name for name in (*form.columns, *form.transform.rename, *form.transform.cents) if name not in columns
        ]
        unused = [name for name in (*form.transform.rename, *form.transform.cents) if name not in form.columns]
        if unknown or unused:
            reason = (
                f"no column {', '.join(unknown)}"
                if unknown
                else f"transform names {', '.join(unused)}, not in `columns`"
            )
            raise self._refused(form.table, reason)
        for name in form.transform.cents:
            self._cents(form.table, columns[name])
        return tuple(
            Field(
                name,
                form.transform.cents.get(name) or form.transform.rename.get(name, name),
                name in form.transform.cents,
            )
            for name in form.columns
        )

    def _cents(self, table: str, column: Column) -> None:
        if column.type != "numeric" or column.scale is None or not 0 <= column.scale <= 2:
            raise self._refused(table, f"cents needs {column.name} to be numeric with at most 2 decimal places")

    def _link(self, form: NodeForm, parent: Shape, shape: Shape, named: ForeignKeyForm | None) -> Link:
        if named is not None:
            missing = [c for c in named.parent if c not in {x.name for x in parent.columns}]
            missing += [c for c in named.child if c not in {x.name for x in shape.columns}]
            if missing or len(named.parent) != len(named.child):
                raise self._refused(form.table, f"foreign_key names unknown or unpaired columns {', '.join(missing)}")
            return Link(named.parent, named.child)
        found = set()
        for holder, columns, target, referenced in self._constraints.foreign_keys:
            if (holder, target) == (shape.qualified, parent.qualified):
                found.add(Link(parent=referenced, child=columns))
            if (holder, target) == (parent.qualified, shape.qualified):
                found.add(Link(parent=columns, child=referenced))
        if len(found) != 1:
            reason = "no foreign key" if not found else "more than one foreign key"
            raise self._refused(
                form.table,
                f"{reason} links it with {parent.qualified}: name `foreign_key: {{parent: [...], child: [...]}}`",
            )
        return found.pop()

    def _at_most_one(self, shape: Shape, link: Link) -> bool:
        return any(columns <= set(link.child) for columns in self._constraints.unique.get(shape.qualified, ()))

    def _linkable(self, shape: Shape, names: Sequence[str]) -> None:
        for column in shape.columns:
            if column.name in names and column.type not in LINK_TYPES:
                known = ", ".join(sorted(LINK_TYPES))
                raise self._refused(
                    shape.table, f"{column.name} is {column.type}; keys and links must be one of {known}"
                )

    def _named_once(self, table: str, names: Sequence[str], mapping: dict[str, dict[str, Any]] | tuple[()]) -> None:
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise self._refused(table, f"two fields are called {', '.join(doubled)}; use `label` or `transform.rename`")
        unmapped = [name for name in names if name not in mapping] if isinstance(mapping, dict) else []
        if unmapped:
            raise self._refused(table, f"`mapping` has no field {', '.join(unmapped)}, and the index accepts no other")

    def _refused(self, table: str, reason: str) -> ConfigurationError:
        return ConfigurationError(f"documents of index {self._index}: table {table}: {reason}")
