"""``millrace cdc backfill`` and ``resync``: copy what is not copied to its end, or a table from its beginning."""

from typing import Annotated

import typer

from cdc import documents, source_database
from cdc.backfill import jobs
from cdc.backfill.copy import Copied
from cdc.backfill.copy import backfill as copy_tables
from cdc.captured import Chosen, choose
from cdc.commands.base import Files, Sources, app, clear_errors, load, parts
from cdc.commands.progress import copy_progress
from cdc.errors import ConfigurationError
from cdc.settings import settings


@app.command()
def backfill(files: Files = None) -> None:
    """Go on with every copy that was begun, or is due, and not ended: tables and documents. `apply` comes first."""
    with clear_errors(), parts(config := settings()) as (state, _, target):
        applied = {chosen.file.source: chosen for chosen in choose(state, None, None)}
        for file in load(files, config):
            if file.source not in applied:
                raise ConfigurationError(f"source {file.source} was not applied yet: `millrace cdc apply`")
            chosen = applied[file.source]
            left = jobs.unfinished(state, file.source)
            shapes = [shape for shape in chosen.shapes if shape.qualified in left]
            with copy_progress() as progress:
                copies = (
                    copy_tables(chosen.file, shapes, chosen.known.epoch, config.millrace_state_dsn, target, progress)
                    if shapes
                    else []
                )
                with source_database.connect(chosen.file) as source:
                    trees = documents.load_trees(chosen.file, source) if chosen.file.documents else ()
                trees = tuple(documents.outstanding(trees, config))
                roots = documents.backfill(
                    chosen.file, chosen.known, trees, config, lambda index, done: progress(index, done, 0.0)
                )
            _show(chosen, copies)
            for index, count in roots.items():
                typer.echo(f"{file.source}: wrote the {count} documents of index {index}")
            if not copies and not roots:
                typer.echo(f"{file.source}: everything is copied")


@app.command()
def resync(
    tables: Annotated[
        list[str], typer.Argument(help="table, schema.table, source.table or source.schema.table", min=1)
    ],
    source: Sources = None,
) -> None:
    """Copy whole tables anew behind a fresh fence, and end the rows that their source no longer has."""
    with clear_errors(), parts(config := settings()) as (state, _, target):
        for chosen in choose(state, source, tables):
            if not chosen.shapes:
                continue
            with copy_progress() as progress:
                copies = copy_tables(
                    chosen.file,
                    list(chosen.shapes),
                    chosen.known.epoch,
                    config.millrace_state_dsn,
                    target,
                    progress,
                    anew=True,
                )
            _show(chosen, copies)


def _show(chosen: Chosen, copies: list[Copied]) -> None:
    for copied in copies:
        ended = f", ended {copied.ended} that the source no longer has" if copied.ended else ""
        typer.echo(f"{chosen.file.source}: copied {copied.name}, {copied.rows} rows{ended}")
