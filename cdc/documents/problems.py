"""What stands in the way of a document tree, found before anything is changed, with the statement that mends it."""

from collections.abc import Collection

from psycopg import sql

from cdc.catalog import Shape
from cdc.documents.trees import Node, Tree


def problems(trees: Collection[Tree], captured: Collection[Shape]) -> list[str]:
    """One line for each reason why these trees cannot be kept up to date.

    A change of a row below the root must name the parent it had before: with the default replica identity the old image
    holds the primary key alone, and a moved or deleted child would leave its old parent's document as it was.
    """
    names = {shape.qualified for shape in captured}
    found = dict.fromkeys(line for tree in trees for path in tree.paths() for line in _of(tree, path, names))
    return list(found)


def _of(tree: Tree, path: tuple[Node, ...], captured: set[str]) -> list[str]:
    shape, link = path[-1].shape, path[-1].link
    lines = []
    if shape.qualified not in captured:
        lines.append(
            f"documents of index {tree.index}: table {shape.qualified} is not captured; add it to `tables` of source"
            f" {tree.source}"
        )
    if link is not None and shape.replica_identity != "full" and not set(link.child) <= set(shape.key):
        statement = sql.SQL("ALTER TABLE {} REPLICA IDENTITY FULL;").format(sql.Identifier(shape.schema, shape.table))
        lines.append(
            f"documents of index {tree.index}: a deleted or moved row of {shape.qualified} would not name its old"
            f" parent; run: {statement.as_string()}"
        )
    return lines
