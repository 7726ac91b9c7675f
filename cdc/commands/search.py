"""``millrace search``: build an index anew beside the one in use, go back, and see which there are."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cdc import documents
from cdc.commands.base import AsJson, clear_errors
from cdc.commands.progress import copy_progress
from cdc.errors import ConfigurationError
from cdc.settings import settings
from cdc.verify.documents import documents_of

app = typer.Typer(no_args_is_help=True, help="Search indexes: build one anew beside the one in use, go back, status.")
console = Console()
_PATIENCE = 300.0  # seconds that the sink may take to pass a position; under load the queue before it may be long


@app.command()
def reindex(
    name: Annotated[str, typer.Argument(help="the index, by the name that readers use")],
    rollback: Annotated[bool, typer.Option("--rollback", help="give readers the index that they had before")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="remove the index that is kept for the way back")] = False,
) -> None:
    """Build an index anew beside the one in use, prove it equal to the source, and give it to readers in one step.

    Readers never wait, and no change is lost: both indexes are kept up to date until --finish, or the next reindex, removes the
    one that is not read. Until then --rollback leads readers back, in one step.
    """
    if rollback and finish:
        raise typer.BadParameter("--rollback needs the index that --finish removes; say one of them")
    with clear_errors("search"):
        config = settings()
        for file, known, trees, passed in documents_of(None, _PATIENCE):
            tree = next((tree for tree in trees if tree.index == name), None)
            if tree is None:
                continue
            if rollback:
                typer.echo(
                    f"{name}: readers have {documents.rollback(tree, config)} again; the other is kept up to date"
                )
            elif finish:
                gone = documents.give_up_others(tree, config)
                typer.echo(f"{name}: removed {', '.join(gone)}" if gone else f"{name}: nothing to remove")
            else:
                with copy_progress() as progress:
                    proof = documents.reindex(
                        file, known, tree, config, passed, lambda roots: progress(name, roots, 0.0)
                    )
                typer.echo(
                    f"{name}: built anew, {proof.rows} documents equal to the source; the index before is kept up to date"
                    " until `--finish`, `--rollback` leads back to it"
                )
            return
        there = ", ".join(tree.index for *_, trees, _ in documents_of(None, _PATIENCE) for tree in trees) or "none"
        raise ConfigurationError(f"no applied source has documents of index {name}; there are: {there}")


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show every index of every tree: which is read, which is kept or unfinished, and what it holds.

    Exit status 1 when an index is missing, not loaded to its end, or was begun and left.
    """
    with clear_errors("search"):
        found = [
            each for _, _, trees, _ in documents_of(None, _PATIENCE) for each in documents.indexes(trees, settings())
        ]
    if as_json:
        typer.echo(json.dumps({"indexes": [asdict(each) | {"wrong": each.wrong} for each in found]}))
    else:
        shown = Table("index", "stands for", "role", "followed", "documents", "size")
        for each in found:
            for one in each.indexes:
                shown.add_row(
                    each.index,
                    one.name,
                    one.role,
                    "yes" if one.followed else "no",
                    f"{one.documents:,}",
                    _size(one.bytes),
                )
        console.print(shown)
        for each in found:
            for line in each.wrong:
                console.print(f"{each.index}: {line}")
    if any(each.wrong for each in found):
        raise typer.Exit(1)


def _size(size: int) -> str:
    return f"{size / 1024:,.0f} kB"
