"""What stops working when a service's tables are no longer what the dbt sources declare."""

from collections.abc import Mapping

from lineage.columns import ROWS
from lineage.compiled import LOG, Project
from lineage.graph import RAW, Graph
from lineage.tree import kind

Shapes = Mapping[str, Mapping[str, str]]
"""`orders.public.orders` -> column -> PostgreSQL's name of its type"""
_NEEDING = ("mart", "metric", "document", "tile")


def declared(project: Project) -> dict[str, dict[str, str]]:
    """The services' tables as the dbt sources declare them."""
    shapes: dict[str, dict[str, str]] = {}
    for source in project.sources:
        if source.types and not source.name.endswith(LOG):
            schema, _, table = source.name.rpartition("__")
            shapes[f"{source.database.removeprefix(RAW)}.{schema or 'public'}.{table}"] = source.types
    return shapes


def breaks(graph: Graph, promised: Shapes, found: Shapes) -> list[str]:
    """A line for each promised column that is gone or of another type, with the marts, metrics, documents and tiles that need it.

    A column that nothing but staging reads is in it too: the view that names it fails.
    """
    said: list[str] = []
    for table, columns in promised.items():
        has = found.get(table, {})
        for column, wanted in columns.items():
            if has.get(column) != wanted:
                what = f"is {has[column]}, not {wanted}" if column in has else "is gone"
                said.append(f"{table}.{column} {what}; needed by {_needing(graph, f'{table}.{column}')}")
    return said


def _needing(graph: Graph, name: str) -> str:
    reached = sorted(graph.reached(name))
    needing = [f"{one.removesuffix('.' + ROWS)}" for one in reached if kind(one) in _NEEDING]
    return ", ".join(dict.fromkeys(needing)) or ", ".join(reached) or "nothing"
