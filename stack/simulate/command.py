"""`millrace simulate`: a past for the shop. Writing the same one again adds nothing and ends what was interrupted."""

import json
import os
import time
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from stack.errors import StackError
from stack.simulate.databases import NAMES
from stack.simulate.history import History
from stack.simulate.run import Written, simulate
from stack.simulate.visits import NoWarehouse, Visits
from stack.steps import Tick, bars, lines

app = typer.Typer()
console = Console()


class BadPeriod(StackError):
    """The days that were asked for cannot be a past."""


@app.command("simulate")
def command(
    orders: Annotated[
        int, typer.Option(min=1, max=10_000_000, help="How many orders customers try to place.")
    ] = 200_000,
    days: Annotated[
        int, typer.Option(min=1, max=2900, help="On how many days (the marts' months are at most 100).")
    ] = 365,
    seed: Annotated[int, typer.Option(help="The same seed (and orders, days, until) gives the same rows.")] = 1,
    until: Annotated[str | None, typer.Option(help="The day (UTC) before which it ends; today when not given.")] = None,
    visits: Annotated[bool, typer.Option(help="Visits and searches too, into ClickHouse.")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write what was done to this file as well.")] = None,
) -> None:
    """Write a past of the shop into the services' databases: orders, payments, goods, customers, prices, visits."""
    history = History(orders, days, seed, _day(until))
    if json_file is not None and not json_file.resolve().parent.is_dir():
        raise StackError(f"--json {json_file}: there is no folder {json_file.resolve().parent}; make it first")
    dsns = {name: os.environ[f"{name.upper()}_DSN"] for name in NAMES if f"{name.upper()}_DSN" in os.environ}
    started = time.monotonic()
    with ExitStack() as context:
        tick = _bar(context) if console.is_terminal else lines()
        warehouse = context.enter_context(_warehouse(history)) if visits else None
        written = simulate(dsns, history, warehouse, tick)
    seconds = round(time.monotonic() - started, 1)
    console.print(_told(history, written, seconds), highlight=False, soft_wrap=True)
    if json_file is not None:
        json_file.write_text(json.dumps(_document(history, written, seconds), indent=2) + "\n")


def _day(given: str | None) -> date:
    today = datetime.now(UTC).date()
    try:
        day = today if given is None else date.fromisoformat(given)
    except ValueError:
        raise BadPeriod(f"--until {given}: not a day; write it as {today}") from None
    if day > today:
        raise BadPeriod(f"--until {given}: a past ends today at the latest ({today}, UTC)")
    if day.year < 2011:
        raise BadPeriod(f"--until {given}: the first day that is possible is 2011-01-01")
    return day


def _warehouse(history: History) -> Visits:
    try:
        return Visits(history, os.environ["CLICKHOUSE_URL"], os.environ["CLICKHOUSE_CLICKSTREAM_PASSWORD"])
    except KeyError:
        raise NoWarehouse("no stack was started: millrace up") from None


def _bar(context: ExitStack) -> Tick:
    progress = context.enter_context(bars(console))
    task = progress.add_task("", total=None)

    def tick(step: str, done: int, of: int) -> None:
        progress.update(task, description=step, completed=done, total=of or None)

    return tick


def _told(history: History, written: Written, seconds: float) -> str:
    outcomes = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in written.outcomes.most_common())
    there = "" if written.new == written.orders else f" ({written.orders - written.new} were there before)"
    return (
        f"{written.orders} orders from {history.start:%Y-%m-%d} until {history.until}{there}: {outcomes}\n"
        f"{written.customers} customers, {written.products} products, {written.events} events of visits, in {seconds} s\n"
        "the copies follow now; `millrace cdc verify` proves them, `millrace check invariants` the whole"
    )


def _document(history: History, written: Written, seconds: float) -> dict[str, object]:
    return {
        "seed": history.seed,
        "days": history.days,
        "until": history.until.isoformat(),
        "orders": written.orders,
        "new": written.new,
        "outcomes": dict(written.outcomes),
        "customers": written.customers,
        "products": written.products,
        "events": written.events,
        "seconds": seconds,
    }
