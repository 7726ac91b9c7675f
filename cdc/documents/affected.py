"""Which documents a change event concerns: both images of the row name their parents, nothing of it is copied.

An update that leaves everything the tree shows or links by as it was concerns no document; that can be told only where
both images are complete (REPLICA IDENTITY FULL). A TRUNCATE has no images: its trees are rebuilt.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from cdc.documents.reading import Key
from cdc.documents.trees import Node, Tree


class Change(NamedTuple):
    """One change event: `transaction` is the low half of its number; `epoch` that of the connector that read it."""

    topic: str
    operation: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    transaction: int
    epoch: int


@dataclass
class Affected:
    """What a set of changes concerns: root keys that are known, rows whose roots must be looked up, trees to rebuild.

    `roots` is by index name; `lookups` by (index name, number of the path in `Tree.paths`); `handed`, by index name, are roots
    that another member has found and handed over to this one.
    """

    roots: dict[str, set[Key]] = field(default_factory=lambda: defaultdict(set))
    lookups: dict[tuple[str, int], set[Key]] = field(default_factory=lambda: defaultdict(set))
    handed: dict[str, set[Key]] = field(default_factory=lambda: defaultdict(set))
    rebuild: set[str] = field(default_factory=set)


def decode(topic: str, value: bytes, epoch: int) -> Change:
    """A change from a message's value (Debezium's envelope, JSON without schema)."""
    envelope = orjson.loads(value)
    return Change(
        topic,
        envelope["op"],
        envelope.get("before"),
        envelope.get("after"),
        int(envelope["source"]["txId"] or 0),
        epoch,
    )


class Resolver:
    """Knows for each topic in which trees, and where in them, its table stands."""

    def __init__(self, trees: Iterable[Tree]) -> None:
        self._places: dict[str, list[tuple[Tree, int, tuple[Node, ...], frozenset[str]]]] = defaultdict(list)
        for tree in trees:
            for number, path in enumerate(tree.paths()):
                place = (tree, number, path, path[-1].read_columns())
                self._places[path[-1].shape.topic].append(place)

    @property
    def topics(self) -> list[str]:
        """The topics of all tables in any tree."""
        return sorted(self._places)

    def affected(self, changes: Iterable[Change], found: Affected | None = None) -> Affected:
        """The documents concerned by any of the changes, each once; added to what was found before."""
        found = found or Affected()
        for change in changes:
            for tree, number, path, columns in self._places[change.topic]:
                if change.operation == "t":
                    found.rebuild.add(tree.index)
                    continue
                if _unchanged(change, path[-1], columns):
                    continue
                for image in (change.before, change.after):
                    if image is not None:
                        _place(found, tree, number, path, image)
        return found


def _unchanged(change: Change, node: Node, columns: frozenset[str]) -> bool:
    if change.before is None or change.after is None or node.shape.replica_identity != "full":
        return False
    return all(change.before.get(column) == change.after.get(column) for column in columns)


def _place(found: Affected, tree: Tree, number: int, path: tuple[Node, ...], image: Mapping[str, Any]) -> None:
    node, key = path[-1], tree.root.shape.key
    if node.link is None:
        if (values := _values(image, key)) is not None:
            found.roots[tree.index].add(values)
        return
    values = _values(image, node.link.child)
    if values is None:
        return
    if len(path) == 2 and set(node.link.parent) == set(key):
        by_column = dict(zip(node.link.parent, values, strict=True))
        found.roots[tree.index].add(tuple(by_column[name] for name in key))
    else:
        found.lookups[tree.index, number].add(values)


def _values(image: Mapping[str, Any], columns: Iterable[str]) -> Key | None:
    """The columns' values as text; None when one is NULL, which links to nothing."""
    values = [image.get(column) for column in columns]
    return None if any(value is None for value in values) else tuple(str(value) for value in values)
