"""``millrace cdc epoch``: show the epoch of each source, or raise one by hand."""

from typing import Annotated

import typer

from cdc import state as engine_state
from cdc.commands.base import app, clear_errors, parts
from cdc.epochs import raise_epoch
from cdc.errors import ConfigurationError
from cdc.line import Break
from cdc.settings import settings


@app.command()
def epoch(
    raise_for: Annotated[
        str | None, typer.Option("--raise", metavar="SOURCE", help="raise this source's epoch")
    ] = None,
    reason: Annotated[str, typer.Option(help="kept with the state and in the log")] = "raised by hand",
) -> None:
    """Show each source's epoch; raise one after a restore or failover that the keeper cannot see.

    A raise reads the log anew from now on, under versions that win over all before, and has every copy compared and mended.
    """
    with clear_errors(), parts(config := settings()) as (state, kafka, target):
        sources = engine_state.applied_sources(state)
        if raise_for is None:
            for _, known in sources:
                typer.echo(f"{known.source}: epoch {known.epoch}, timeline {known.timeline}")
            return
        file = next((file for file, _ in sources if file.source == raise_for), None)
        if file is None:
            names = ", ".join(file.source for file, _ in sources) or "none"
            raise ConfigurationError(f"no source {raise_for} was applied; there are: {names}")
        now = raise_epoch(file, Break(reason), config, state, kafka, target, typer.echo)
        typer.echo(f"{raise_for}: epoch {now}; the keeper compares its copies and mends them")
