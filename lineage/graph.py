"""The graph of columns: a service's, staging's, the intermediates', the marts', the metrics, documents and tiles made of them.

A column is named `orders.public.orders.total` where a service has it, `database.table.column` in the warehouse,
`metric.name` as a metric, `index.products.price.amount` in a document and
`tile.sales.orders` on a dashboard. The column `*` of a table stands for which
rows the table has: what it filters, joins and groups by, and the rows of the tables that it reads.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

from lineage.columns import ROWS, Leaf, trace
from lineage.compiled import LOG, Project
from metrics.metric import Metric

RAW = "raw_"
SINK_COLUMNS = ("_version", "_deleted", "_committed_at", "_ingested_at", "_batch")
"""What the ClickHouse sink adds to every raw table."""


class UnknownColumn(Exception):
    """Nothing has the name; the message offers names that are near."""


@dataclass
class Graph:
    """Edges between named columns, in both directions; `unresolved` is what sqlglot could not read, by table."""

    below: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    above: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    names: set[str] = field(default_factory=set)
    unresolved: dict[str, list[str]] = field(default_factory=dict)

    def add(self, made: str, of: Iterable[str]) -> None:
        self.names.add(made)
        for name in of:
            if name != made:
                self.names.add(name)
                self.below[name].add(made)
                self.above[made].add(name)

    def named(self, name: str) -> str:
        """The name itself if something has it. Raises UnknownColumn with near names."""
        if name in self.names:
            return name
        shown = [each for each in self.names if not each.endswith(f".{ROWS}")]
        near = get_close_matches(name, sorted(shown), n=5, cutoff=0.5)
        said = f"near: {', '.join(near)}" if near else "write orders.public.orders.total or analytics.fct_orders.total"
        raise UnknownColumn(f"no column or metric is called {name}; {said}")

    def reached(self, name: str, *, upwards: bool = False) -> set[str]:
        """Everything that hangs on it, or that it is made of; not itself."""
        edges = self.above if upwards else self.below
        found = set[str]()
        waiting = [name]
        while waiting:
            for other in edges.get(waiting.pop(), ()):
                if other not in found:
                    found.add(other)
                    waiting.append(other)
        return found - {name}


def build(project: Project, metrics: Iterable[Metric], fields: Iterable[tuple[str, str]] = ()) -> Graph:
    """The graph of a compiled project, its metrics, and the fields of documents and tiles with what they are read from."""
    graph = Graph()
    owned = {source.table: source for source in project.sources if source.types}
    schema: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    for source in project.sources:
        for column in source.types:
            graph.add(_node((source.table, column), owned), ())
        if source.types:
            schema[source.database][source.name] = source.types | dict.fromkeys(SINK_COLUMNS, "String")
    for model in project.models:
        traced = trace(model.sql, schema)
        for column, leaves in traced.columns.items():
            graph.add(f"{model.table}.{column}", (_node(leaf, owned) for leaf in leaves))
        graph.add(f"{model.table}.{ROWS}", (_node(leaf, owned) for leaf in traced.rows))
        if traced.unresolved:
            graph.unresolved[model.table] = traced.unresolved
        database, _, table = model.table.partition(".")
        schema[database][table] = {column: model.types.get(column) or "String" for column in traced.columns}
    for metric in metrics:
        graph.add(f"metric.{metric.name}", (f"analytics.{metric.mart}.{column}" for column in [*metric.columns, ROWS]))
    for made, of in fields:
        graph.add(made, [of])
    return graph


def _node(leaf: Leaf, owned: Iterable[str]) -> str:
    """A captured table's own columns are named as its service has them; the sink's columns and rows as the raw table's."""
    table, column = leaf
    if table not in owned or column.startswith("_"):
        return f"{table}.{column}"
    database, _, name = table.partition(".")
    schema, _, bare = name.removesuffix(LOG).rpartition("__")
    return f"{database.removeprefix(RAW)}.{schema or 'public'}.{bare}.{column}"
