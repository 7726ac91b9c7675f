"""``millrace cdc status``: what waits for what, as a table that follows, or once as JSON."""

import json
import time
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table

from cdc.commands.base import AsJson, app, clear_errors, console, parts
from cdc.settings import settings
from cdc.status import Status, TableStatus, collect, problems, size_in_words, state_of

_EVERY = 1.0


@app.command()
def status(
    watch: Annotated[bool, typer.Option(help="go on showing it until Ctrl-C")] = False,
    as_json: AsJson = False,
) -> None:
    """Show each source's log and connector, and how far each table's copies are; exit status 1 when something is wrong."""
    with clear_errors(), parts(config := settings()) as (state, kafka, _):
        found = collect(config, state, kafka)
        if as_json:
            typer.echo(json.dumps(asdict(found) | {"wrong": wrong(found)}, default=str))
        elif watch:
            try:
                with Live(shown(found), console=console, auto_refresh=False) as live:
                    while True:
                        time.sleep(_EVERY)  # how often a person's screen is renewed
                        live.update(shown(collect(config, state, kafka)), refresh=True)
            except KeyboardInterrupt:
                return
        else:
            console.print(shown(found))
    if wrong(found):
        raise typer.Exit(1)


def wrong(found: Status) -> list[str]:
    """What a person should look at, one line each; empty when all flows."""
    return [problem.line for problem in problems(found)]


def shown(found: Status) -> Group:
    """The status as tables."""
    sources = Table("source", "epoch", "connector", "slot holds", "unread", "at most")
    for source in found.sources:
        sources.add_row(
            source.source,
            str(source.epoch),
            source.connector,
            size_in_words(source.retained),
            size_in_words(source.unread),
            "no limit" if source.most is None and source.retained is not None else size_in_words(source.most),
        )
    tables = Table("table", "rows", "seconds", "state", "parked", "last verified")
    tables.columns[0].no_wrap = True
    for source in found.sources:
        for table in source.tables:
            tables.add_row(
                table.table.replace(".public.", "."),
                " / ".join(f"{lag.records:,}" for lag in table.lags),
                " / ".join(f"{lag.seconds:.1f}" for lag in table.lags),
                state_of(table),
                str(table.open_letters or ""),
                _proven(table),
            )
    lines = wrong(found)
    return Group(
        sources, tables, "rows and seconds: how far ClickHouse / Elasticsearch / caches are behind the topic", *lines
    )


def _proven(table: TableStatus) -> str:
    if table.proven_at is None:
        return "never"
    outcome = "equal" if table.differing == 0 else f"{table.differing} DIFFER"
    return f"{table.proven_at.astimezone():%m-%d %H:%M:%S}, {outcome}"
