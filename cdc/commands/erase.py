"""``millrace cdc erase``: take what the copies still hold of one row out of them."""

import dataclasses
import json
from typing import Annotated

import typer

from cdc.captured import choose
from cdc.commands.base import AsJson, app, clear_errors, parts
from cdc.erase import erase as erase_key
from cdc.errors import ConfigurationError
from cdc.settings import settings


@app.command()
def erase(
    source: Annotated[str, typer.Argument(help="name of the source")],
    table: Annotated[str, typer.Argument(help="table or schema.table")],
    key: Annotated[str, typer.Argument(help="the row's key; of several columns a JSON array of their values")],
    as_json: AsJson = False,
) -> None:
    """Take all that raw tables, documents, dead letters and caches hold of one row out of them, but what its source has now.

    Delete or overwrite the row in the source first.
    """
    with clear_errors(), parts(config := settings()) as (state, kafka, target):
        [chosen] = choose(state, [source], [table])
        if len(chosen.shapes) != 1:
            raise ConfigurationError(
                f"{table} names {len(chosen.shapes)} tables of {source} that are followed; give schema.table"
                + "".join(f"; {reason}" for reason in chosen.parked)
            )
        done = erase_key(
            chosen, chosen.shapes[0], key, config, state, kafka, target, lambda line: typer.echo(line, err=True)
        )
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(done)))
        return
    typer.echo(
        f"{done.table}: erased {done.versions} versions, {done.letters} dead letters, {done.cached} cached values; "
        f"{done.documents} documents read anew"
    )
    typer.echo(
        "the source has the row, and the copies show what it has"
        if done.kept
        else f"its changes leave Kafka within {config.cdc_topic_retention_hours} hours, and are not read again"
    )
