"""``millrace cdc deadletters``: look at what a target refused, replay it once the cause is mended, or drop it."""

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from cdc import dead_letters
from cdc import state as engine_state
from cdc.commands.base import AsJson, app, clear_errors, console, parts
from cdc.dead_letters import DeadLetter
from cdc.errors import ConfigurationError
from cdc.settings import settings
from cdc.sinks.clickhouse.replay import replay as replay_rows
from cdc.version import Version, format_lsn

letters_app = typer.Typer(no_args_is_help=True, help="Changes that a target refused: list, show, replay, drop.")
app.add_typer(letters_app, name="deadletters")
Ids = Annotated[list[int] | None, typer.Argument(help="numbers of dead letters, as `list` shows them")]
TableOption = Annotated[str | None, typer.Option("--table", help="only of this table (source.schema.table) or index")]


@letters_app.command("list")
def list_(
    table: TableOption = None,
    everything: Annotated[bool, typer.Option("--all", help="resolved ones too")] = False,
    as_json: AsJson = False,
) -> None:
    """List open dead letters, oldest version first; exit status 1 when there are any."""
    with clear_errors(), engine_state.connect(settings().millrace_state_dsn) as state:
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
        console.print(shown)
    else:
        typer.echo("no dead letters")
    if any(letter.outcome is None for letter in letters):
        raise typer.Exit(1)


@letters_app.command()
def show(number: Annotated[int, typer.Argument(help="as `list` shows it")]) -> None:
    """Print one dead letter whole, with the change as it came."""
    with clear_errors(), engine_state.connect(settings().millrace_state_dsn) as state:
        found = dead_letters.listed(state, ids=[number], everything=True)
        if not found:
            raise ConfigurationError(f"there is no dead letter {number}; `millrace cdc deadletters list`")
    typer.echo(json.dumps(_as_json(found[0]) | {"body": _body(found[0])}, indent=2, ensure_ascii=False))


@letters_app.command()
def replay(ids: Ids = None, table: TableOption = None) -> None:
    """Write dead letters again (all open ones when none is named); exit status 1 when some are refused again."""
    with clear_errors(), parts(config := settings()) as (state, _, target):
        letters = dead_letters.listed(state, table=table, ids=ids or None)
        done = replay_rows(state, target, config.millrace_state_dsn, letters)
        left = len(dead_letters.listed(state, table=table, ids=ids or None))
    typer.echo(f"{done} replayed, {left} left")
    if left:
        raise typer.Exit(1)


@letters_app.command()
def drop(ids: Annotated[list[int], typer.Argument(help="numbers of dead letters, as `list` shows them")]) -> None:
    """Give up dead letters: the copy keeps what it has until the row changes again or is repaired."""
    with clear_errors(), engine_state.connect(settings().millrace_state_dsn) as state:
        done = dead_letters.resolve(state, ids, "dropped")
        typer.echo(f"{done} dropped")
        if done < len(set(ids)):
            raise ConfigurationError(f"{len(set(ids)) - done} of these are not open dead letters")


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
