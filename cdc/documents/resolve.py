"""From the form of a source file and the catalog to document trees whose every node knows its table, key and link.

Without a `foreign_key` in the file the catalog's constraint is taken when there is exactly one between the two tables;
with several, the file must choose. A `one_to_one` that the database does not guarantee by a unique index is refused: it
would fail on the first second row.
"""

from collections.abc import Sequence
from typing import Any

import psycopg

from cdc.catalog import Column, Shape, read_shapes
from cdc.documents.constraints import Constraints, read_constraints
from cdc.documents.forms import ForeignKeyForm, NodeForm, RelationshipForm, TreeForm, parse
from cdc.documents.trees import Field, Link, Node, Tree
from cdc.errors import ConfigurationError
from cdc.source_file import SourceFile

# Values of these types read the same in a change event as in PostgreSQL's own input: a root is found by them.
LINK_TYPES = frozenset({"int2", "int4", "int8", "uuid", "text", "varchar", "bpchar"})
FOLDED_TYPES = frozenset({"text", "varchar", "_text"})


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
        shape = self._shape(form.schema_name, form.table)
        many, scalar, ties = False, False, list[tuple[Shape, Link]]()
        if parent is not None:
            if form.relationship is None:
                raise self._refused(form.table, "a child needs `relationship: {type: one_to_one | one_to_many}`")
            many, scalar = form.relationship.type == "one_to_many", form.relationship.variant == "scalar"
            ties = self._ties(form, form.relationship, parent, shape)
        else:
            self._linkable(shape, shape.key)
        fields = self._fields(form, shape)
        if scalar and (len(fields) != 1 or form.children):
            raise self._refused(form.table, "variant scalar shows exactly one column and has no children")
        children = tuple(
            self._node(child, shape, mapping.get(child.label or child.table, {}).get("properties", {}))
            for child in form.children
        )
        names = [field.name for field in fields] + [child.label for child in children]
        self._named_once(form.table, names, () if scalar else mapping)
        label = form.label or form.table
        node = Node(shape, label, fields, ties[-1][1] if ties else None, many, scalar, children)
        for table, link in reversed(ties[:-1]):
            node = Node(table, label, (), link, children=(node,), through=True)
        return node

    def _ties(
        self, form: NodeForm, relationship: RelationshipForm, parent: Shape, shape: Shape
    ) -> list[tuple[Shape, Link]]:
        """The tables from below the parent down to the node's own, each with what ties it to the one before."""
        wanted = [
            (self._shape(step.schema_name or form.schema_name, step.table), step.foreign_key)
            for step in relationship.through_tables
        ]
        ties: list[tuple[Shape, Link]] = []
        for table, named in (*wanted, (shape, relationship.foreign_key)):
            above = ties[-1][0] if ties else parent
            link = self._link(table.table, above, table, named)
            self._linkable(above, link.parent)
            self._linkable(table, link.child)
            if relationship.type == "one_to_one" and not self._at_most_one(table, link):
                raise self._refused(
                    table.table,
                    f"one_to_one needs a unique index on ({', '.join(link.child)}); say one_to_many or add the index",
                )
            ties.append((table, link))
        return ties

    def _shape(self, schema: str, table: str) -> Shape:
        shape = self._shapes.get(f"{schema}.{table}")
        if shape is None:
            raise self._refused(table, f"there is no table {schema}.{table} in the source")
        if not shape.key:
            raise self._refused(table, "it has no primary key, which documents are found and ordered by")
        return shape

    def _fields(self, form: NodeForm, shape: Shape) -> tuple[Field, ...]:
        columns = {column.name: column for column in shape.columns}
        named = (*form.transform.rename, *form.transform.cents, *form.transform.fold)
        together = [name for each in form.transform.concat for name in each.columns]
        unknown = [name for name in (*form.columns, *named, *together) if name not in columns]
        unused = [name for name in named if name not in form.columns]
        if unknown or unused:
            reason = (
                f"no column {', '.join(unknown)}"
                if unknown
                else f"transform names {', '.join(unused)}, not in `columns`"
            )
            raise self._refused(form.table, reason)
        if changed := [name for name in (*form.transform.cents, *form.transform.fold) if columns[name].mask]:
            raise self._refused(form.table, f"{', '.join(changed)} is masked, so it cannot be shown as cents or folded")
        for name in form.transform.cents:
            self._cents(form.table, columns[name])
        shown = tuple(
            Field(
                name,
                form.transform.cents.get(name) or form.transform.rename.get(name, name),
                name in form.transform.cents,
            )
            for name in form.columns
        )
        folded = tuple(self._folded(form.table, columns[name], label) for name, label in form.transform.fold.items())
        joined = tuple(
            Field(each.columns[0], each.destination, others=each.columns[1:], delimiter=each.delimiter)
            for each in form.transform.concat
        )
        return shown + folded + joined

    def _folded(self, table: str, column: Column, label: str) -> Field:
        if column.type not in FOLDED_TYPES:
            raise self._refused(table, f"fold needs {column.name} to be one of {', '.join(sorted(FOLDED_TYPES))}")
        return Field(column.name, label, fold=True, many=column.type == "_text")

    def _cents(self, table: str, column: Column) -> None:
        if column.type != "numeric" or column.scale is None or not 0 <= column.scale <= 2:
            raise self._refused(table, f"cents needs {column.name} to be numeric with at most 2 decimal places")

    def _link(self, table: str, parent: Shape, shape: Shape, named: ForeignKeyForm | None) -> Link:
        if named is not None:
            missing = [c for c in named.parent if c not in {x.name for x in parent.columns}]
            missing += [c for c in named.child if c not in {x.name for x in shape.columns}]
            if missing or len(named.parent) != len(named.child):
                raise self._refused(table, f"foreign_key names unknown or unpaired columns {', '.join(missing)}")
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
                table,
                f"{reason} links it with {parent.qualified}: name `foreign_key: {{parent: [...], child: [...]}}`",
            )
        return found.pop()

    def _at_most_one(self, shape: Shape, link: Link) -> bool:
        return any(columns <= set(link.child) for columns in self._constraints.unique.get(shape.qualified, ()))

    def _linkable(self, shape: Shape, names: Sequence[str]) -> None:
        for column in shape.columns:
            if column.name in names and column.mask is not None:
                raise self._refused(
                    shape.table, f"{column.name} is masked, and documents are found by keys and links as they are"
                )
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
