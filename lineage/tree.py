"""One column's place in the graph as trees: what it comes from, and what hangs on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.tree import Tree

from lineage.columns import ROWS
from lineage.graph import Graph

KINDS = {
    "staging": "staging",
    "intermediate": "intermediate",
    "analytics": "mart",
    "metric": "metric",
    "index": "document",
    "tile": "tile",
}


@dataclass(frozen=True)
class Branch:
    """A column with what is next to it in one direction; `told_above` where that is in the tree already."""

    name: str
    kind: str
    branches: tuple["Branch", ...] = ()
    told_above: bool = False

    def document(self) -> dict[str, Any]:
        """For --json."""
        if self.told_above:
            return {"name": self.name, "kind": self.kind, "told_above": True}
        return {"name": self.name, "kind": self.kind, "branches": [one.document() for one in self.branches]}

    def drawn(self, tree: Tree | None = None) -> Tree:
        """For a terminal."""
        table, _, column = self.name.rpartition(".")
        said = f"{table}: which rows" if column == ROWS else self.name
        shown = Tree(said) if tree is None else tree.add(said + (" (as above)" if self.told_above else ""))
        for one in self.branches:
            one.drawn(shown)
        return shown

    def all(self) -> Iterator["Branch"]:
        """It and everything below it."""
        yield self
        for one in self.branches:
            yield from one.all()


def kind(name: str) -> str:
    """service, raw, staging, intermediate, mart, metric, document or tile."""
    first, *rest = name.split(".")
    return KINDS.get(first, "raw" if first.startswith("raw_") else "service" if len(rest) == 3 else "raw")


def tree(graph: Graph, name: str, *, upwards: bool) -> Branch:
    """The tree of a column that the graph has; each column is opened once, where it is met first."""
    edges = graph.above if upwards else graph.below
    opened = set[str]()

    def branch(at: str) -> Branch:
        following = sorted(edges.get(at, ()))
        if at in opened:
            return Branch(at, kind(at), told_above=bool(following))
        opened.add(at)
        return Branch(at, kind(at), tuple(branch(one) for one in following))

    return branch(name)
