"""Document trees: which tables make one document, by which columns they hang together, which fields they show.

A link names the columns that tie a node to its parent, in either direction: the child may hold the foreign key (prices
of a product) or the parent (the category of a product). Trees are made from a source file by `cdc.documents.resolve`.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from cdc.catalog import Shape


@dataclass(frozen=True)
class Link:
    """Pairs of columns, parent[i] = child[i], that tie a node's rows to its parent's."""

    parent: tuple[str, ...]
    child: tuple[str, ...]


@dataclass(frozen=True)
class Field:
    """One column of a node and the name it has in the document; `cents`: as an integer number of hundredths; `fold`: in
    lower case and without accents, and `many` when it is an array of texts; `others`: columns whose texts follow it, each
    after `delimiter`; None: the column alone, as it is."""

    column: str
    name: str
    cents: bool = False
    fold: bool = False
    many: bool = False
    others: tuple[str, ...] | None = None
    delimiter: str = ""

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that it is made of."""
        return (self.column, *(self.others or ()))


@dataclass(frozen=True)
class Node:
    """One table in a tree; `link` is None at the root alone. `through`: a table of links, of which nothing is shown: in the
    document its one child stands in its place."""

    shape: Shape
    label: str
    fields: tuple[Field, ...]
    link: Link | None = None
    many: bool = False
    scalar: bool = False
    children: tuple["Node", ...] = ()
    through: bool = False

    def read_columns(self) -> frozenset[str]:
        """Every column whose change can change a document: those shown, the key, and those that link."""
        links = [self.link.child] if self.link else []
        links += [child.link.parent for child in self.children if child.link]
        shown = {column for field in self.fields for column in field.columns}
        return frozenset(shown.union(self.shape.key, *links))

    def form(self) -> tuple[object, ...]:
        """What its documents are made of, apart from columns of the table that they do not show."""
        below = tuple(child.form() for child in self.children)
        shown = (self.label, self.fields, self.link, self.many, self.scalar, self.through)
        names = {name for field in self.fields for name in field.columns}
        masks = [(column.name, column.mask) for column in self.shape.columns if column.mask and column.name in names]
        if masks:
            below = (*below, tuple(masks))
        return (self.shape.qualified, self.shape.key, *shown, below)


@dataclass(frozen=True)
class Tree:
    """The documents of one index: `root` gives one document a row, its key (as text) the document's id."""

    source: str
    index: str
    root: Node
    mapping: dict[str, dict[str, Any]]
    settings: dict[str, Any]

    def paths(self) -> Iterator[tuple[Node, ...]]:
        """Every node with its ancestors: (root,), (root, child), (root, child, grandchild)..."""

        def walk(path: tuple[Node, ...]) -> Iterator[tuple[Node, ...]]:
            yield path
            for child in path[-1].children:
                yield from walk((*path, child))

        return walk((self.root,))

    @property
    def digest(self) -> str:
        """Changes when documents of the tree would look or be indexed differently."""
        mapping = orjson.dumps([self.mapping, self.settings], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(repr(self.root.form()).encode() + mapping).hexdigest()[:16]

    @property
    def written(self) -> str:
        """The alias that documents of this very form are written to; readers use `index`."""
        return f"{self.index}-{self.digest}"

    @property
    def folds(self) -> bool:
        """Whether any field is folded."""
        return any(field.fold for path in self.paths() for field in path[-1].fields)

    @property
    def topics(self) -> frozenset[str]:
        """The Kafka topics of all tables in the tree."""
        return frozenset(path[-1].shape.topic for path in self.paths())
