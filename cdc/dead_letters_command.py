"""``millrace cdc deadletters``: look at what a target refused, replay it once the cause is mended, or drop it."""

import json
from typing import Annotated, Any

import psycopg
import typer
from rich.console import Console
from rich.table import Table

from cdc import clickhouse, dead_letters
from cdc import state as engine_state
from cdc.dead_letters import DeadLetter
from cdc.errors import CdcError
from cdc.settings import settings
from cdc.sinks.clickhouse.replay import replay as replay_rows
from cdc.version import Version, format_lsn

app = typer.Typer(no_args_is_help=True, help="Changes that a target refused: list, show, replay, drop.")
Ids = Annotated[list[int] | None, typer.Argument(help="numbers of dead letters, as `list` shows them")]
TableOption = Annotated[str | None, typer.Option("--table", help="only of this table (source.schema.table) or index")]


def _state() -> psycopg.Connection[Any]:
    try:
        return engine_state.connect(settings().millrace_state_dsn)
    except (CdcError, psycopg.OperationalError) as error:
        typer.echo(f"millrace cdc deadletters: {' '.join(str(error).split())}", err=True)
        raise typer.Exit(2) from None


@app.command("list")
def list_(
    table: TableOption = None,
    everything: Annotated[bool, typer.Option("--all", help="resolved ones too")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """List open dead letters, oldest version first; exit status 1 when there are any."""
    with _state() as state:
        letters = dead_letters.listed(state, table=table, everything=everything)
    if as_json:
        typer.echo(json.dumps({"dead_letters": [_as_json(letter) for letter in letters]}))
    elif letters:
        shown = Table("number", "target", "table or index", "key", "parked at", "outcome", "reason")
        for letter in letters:
            shown.add_row(
                str(letter.id),
                letter.target,
                f"{letter.source}.{letter.name}",
                letter.key,
                f"{letter.parked_at:%Y-%m-%d %H:%M:%S}",
                letter.outcome or "open",
                letter.reason[:120],
            )
        Console().print(shown)
    else:
        typer.echo("no dead letters")
    if any(letter.outcome is None for letter in letters):
        raise typer.Exit(1)


@app.command()
def show(number: Annotated[int, typer.Argument(help="as `list` shows it")]) -> None:
    """Print one dead letter whole, with the change as it came."""
    with _state() as state:
        found = dead_letters.listed(state, ids=[number], everything=True)
    if not found:
        typer.echo(
            f"millrace cdc deadletters: there is no dead letter {number}; `millrace cdc deadletters list`", err=True
        )
        raise typer.Exit(2)
    typer.echo(json.dumps(_as_json(found[0]) | {"body": _body(found[0])}, indent=2, ensure_ascii=False))


@app.command()
def replay(ids: Ids = None, table: TableOption = None) -> None:
    """Write dead letters again (all open ones when none is named); exit status 1 when some are refused again."""
    config = settings()
    with _state() as state:
        letters = dead_letters.listed(state, table=table, ids=ids or None)
        try:
            target = clickhouse.connect(config.clickhouse_url, config.clickhouse_cdc_password)
            done = replay_rows(state, target, config.millrace_state_dsn, letters)
        except CdcError as error:
            typer.echo(f"millrace cdc deadletters: {error}", err=True)
            raise typer.Exit(2) from None
        left = len(dead_letters.listed(state, table=table, ids=ids or None))
    typer.echo(f"{done} replayed, {left} left")
    if left:
        raise typer.Exit(1)


@app.command()
def drop(ids: Annotated[list[int], typer.Argument(help="numbers of dead letters, as `list` shows them")]) -> None:
    """Give up dead letters: the copy keeps what it has until the row changes again or is repaired."""
    with _state() as state:
        done = dead_letters.resolve(state, ids, "dropped")
    typer.echo(f"{done} dropped")
    if done < len(set(ids)):
        typer.echo(f"millrace cdc deadletters: {len(set(ids)) - done} of these are not open dead letters", err=True)
        raise typer.Exit(2)


def _as_json(letter: DeadLetter) -> dict[str, Any]:
    version = Version.unpack(letter.version)
    return {
        "number": letter.id,
        "target": letter.target,
        "table": f"{letter.source}.{letter.name}",
        "key": letter.key,
        "version": {"epoch": version.epoch, "commit": format_lsn(version.commit), "lsn": format_lsn(version.lsn)},
        "reason": letter.reason,
        "place": letter.place,
        "parked_at": letter.parked_at.isoformat(),
        "outcome": letter.outcome or "open",
    }


def _body(letter: DeadLetter) -> Any:
    try:
        return json.loads(letter.body)
    except ValueError:
        return letter.body
