"""`millrace lineage`: what hangs on a column, from a service to the tiles of the dashboards, and what it is made of.

It reads the dbt project, the metrics, the dashboards' and the capture's files; no server is asked.
"""

import json
from typing import Annotated

import typer
from rich.console import Console

from dashboards.files import DashboardError
from lineage.compiled import project
from lineage.documents import indexed
from lineage.graph import Graph, UnknownColumn, build
from lineage.tiles import drawn
from lineage.tree import tree
from metrics.contracts import contracts
from metrics.definitions import load
from metrics.metric import MetricError
from pipelines.lib.manifest import ManifestError
from stack.errors import StackError

app = typer.Typer(help="What hangs on a column, and what it is made of.")


class LineageRefused(StackError):
    """There is no such column, or the project cannot be read; the message says which."""


@app.command()
def lineage(
    column: Annotated[
        str,
        typer.Argument(
            help="orders.public.orders.total, analytics.fct_orders.total, metric.gross_revenue, tile.sales.orders"
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON document.")] = False,
) -> None:
    """What a column or metric comes from and what hangs on it: columns, metrics, fields of documents, tiles of dashboards."""
    try:
        graph = _graph()
        name = graph.named(column)
    except (DashboardError, ManifestError, MetricError, UnknownColumn) as error:
        raise LineageRefused(str(error)) from error
    above, below = tree(graph, name, upwards=True), tree(graph, name, upwards=False)
    if as_json:
        document = {"column": name, "comes_from": above.document(), "hangs_on_it": below.document()}
        typer.echo(json.dumps(document | {"unresolved": graph.unresolved}, indent=2))
        return
    console = Console(soft_wrap=True, highlight=False)
    for title, found in (("comes from", above), ("hangs on it", below)):
        if found.branches:
            console.print(f"{title}:")
            console.print(found.drawn())
    if not above.branches and not below.branches:
        console.print(f"nothing hangs on {name}")
    for table, names in graph.unresolved.items():
        typer.echo(f"not resolved in {table}: {', '.join(names)}", err=True)


def _graph() -> Graph:
    return build(project(), load(contracts()).by_name.values(), [*indexed(), *drawn()])
