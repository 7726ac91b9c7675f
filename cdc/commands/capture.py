"""``millrace cdc plan`` and ``apply``: make what is captured equal to the source files."""

import typer

from cdc.commands.base import Files, app, clear_errors, load, parts
from cdc.commands.progress import copy_progress
from cdc.connect.apply import apply_plan
from cdc.connect.plan import Plan, make_plan
from cdc.settings import settings


@app.command()
def plan(files: Files = None) -> None:
    """Show what `apply` would change; changes nothing. Exit status 1 when something would change."""
    with clear_errors(), parts(config := settings()) as (state, kafka, target):
        plans = [make_plan(file, config, state, kafka, target) for file in load(files, config)]
    for made in plans:
        for line in made.lines() or ["no changes"]:
            typer.echo(f"{made.file.source}: {line}")
        warn(made)
    if any(made.lines() for made in plans):
        raise typer.Exit(1)


@app.command()
def apply(files: Files = None) -> None:
    """Make publications, slots, topics, raw tables and connectors as the source files say, and copy existing rows."""
    with clear_errors(), parts(config := settings()) as (state, kafka, target):
        for made in [make_plan(file, config, state, kafka, target) for file in load(files, config)]:
            name = made.file.source

            def say(line: str, name: str = name) -> None:
                typer.echo(f"{name}: {line}")

            with copy_progress() as progress:
                copies = apply_plan(made, config, state, kafka, target, say, progress)
            for copied in copies:
                typer.echo(f"{name}: copied {copied.name}, {copied.rows} rows")
            if not made.lines():
                typer.echo(f"{name}: no changes")
            warn(made)


def warn(made: Plan) -> None:
    """Say what is no change, but should be known; on standard error."""
    for warning in made.warnings:
        typer.echo(f"{made.file.source}: warning: {warning}", err=True)
