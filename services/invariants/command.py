"""`millrace check invariants`: whether everything that must hold holds now; exit status 1 when it does not."""

import json
from dataclasses import asdict
from typing import Annotated

import psycopg
import typer

from services.invariants.check import Verdict, check
from services.invariants.databases import opened
from services.invariants.settings import InvariantSettings
from services.kit.settings import load

app = typer.Typer(no_args_is_help=True, add_completion=False)


@app.callback()
def _group() -> None:
    """Checks of the running shop."""


@app.command("invariants")
def invariants(
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document instead of lines")] = False,
    hours: Annotated[
        float | None, typer.Option(min=0, help="only orders that changed within so many hours; else all")
    ] = None,
) -> None:
    """Money, goods and orders agree, in every database and between them."""
    try:
        with opened(load(InvariantSettings).dsns) as databases:
            verdicts = check(databases, since_s=None if hours is None else hours * 3600)
    except psycopg.Error as error:
        typer.echo(
            f"millrace: the invariants cannot be checked: {str(error).splitlines()[0]}; `millrace status`", err=True
        )
        raise typer.Exit(2) from error
    violated = [verdict for verdict in verdicts if verdict.violations]
    if as_json:
        document = {"holds": not violated, "invariants": [asdict(verdict) for verdict in verdicts]}
        typer.echo(json.dumps(document, default=str))
    else:
        for verdict in verdicts:
            typer.echo("\n".join(_lines(verdict)))
    raise typer.Exit(1 if violated else 0)


def _lines(verdict: Verdict) -> list[str]:
    if not verdict.violations:
        return [f"holds     {verdict.name}"]
    shown = [f"            {json.dumps(row, default=str)}" for row in verdict.rows]
    more = [f"            and {verdict.violations - len(shown)} more"] if verdict.violations > len(shown) else []
    return [f"VIOLATED  {verdict.name}: {verdict.violations}; {verdict.meaning}", *shown, *more]
