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
from cdc.status import Status, TableStatus, collect

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
    lines = [f"{wait.member} has waited for {wait.seconds:.0f} s: {wait.reason}" for wait in found.waits]
    for source in found.sources:
        if source.problem:
            lines.append(f"{source.source}: {source.problem}")
        if source.connector != "running":
            lines.append(f"{source.source}: its connector is not running: {source.connector}")
        if source.used is not None and source.used >= 0.5:
            lines.append(f"{source.source}: its slot holds {source.used:.0%} of what the server keeps for it")
        for table in source.tables:
            if table.parked:
                lines.append(f"{table.table} is not followed: {table.parked}")
            if table.open_letters:
                lines.append(f"{table.table}: {table.open_letters} changes are parked; `millrace cdc deadletters list`")
            if table.differing:
                lines.append(
                    f"{table.table}: {table.differing} keys differed when it was verified; `millrace cdc repair`"
                )
    return lines


def shown(found: Status) -> Group:
    """The status as tables."""
    sources = Table("source", "epoch", "connector", "slot holds", "unread", "server keeps")
    for source in found.sources:
        sources.add_row(
            source.source,
            str(source.epoch),
            source.connector,
            _size(source.retained),
            _size(source.unread),
            "no limit" if source.budget is None and source.retained is not None else _size(source.budget),
        )
    tables = Table("table", "rows", "seconds", "state", "parked", "last verified")
    tables.columns[0].no_wrap = True
    for source in found.sources:
        for table in source.tables:
            tables.add_row(
                table.table.replace(".public.", "."),
                " / ".join(f"{lag.records:,}" for lag in table.lags),
                " / ".join(f"{lag.seconds:.1f}" for lag in table.lags),
                _state(table),
                str(table.open_letters or ""),
                _proven(table),
            )
    lines = wrong(found)
    return Group(sources, tables, "rows and seconds: how far ClickHouse / Elasticsearch are behind the topic", *lines)


def _state(table: TableStatus) -> str:
    if table.parked:
        return "not followed"
    if table.copying:
        return f"copying, {table.copying[0]} of {table.copying[1]} ranges"
    if table.mend:
        return "being mended"
    return "followed" if table.backfilled else "waits for its backfill"


def _proven(table: TableStatus) -> str:
    if table.proven_at is None:
        return "never"
    outcome = "equal" if table.differing == 0 else f"{table.differing} DIFFER"
    return f"{table.proven_at.astimezone():%m-%d %H:%M:%S}, {outcome}"


def _size(size: int | None) -> str:
    if size is None:
        return "?"
    value = float(max(size, 0))
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1024 or unit == "GB":
            return f"{value:.0f} {unit}"
        value /= 1024
    raise AssertionError
