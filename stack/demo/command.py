"""``millrace demo``: shows what happens, prints one table of what was proven, exits non-zero when anything differs."""

import json
import os
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import TaskID
from rich.table import Table

from cdc.errors import CdcError
from stack import launcher
from stack.demo.run import Facts, run
from stack.environment import ADDRESSED
from stack.errors import StackError
from stack.progress import Lines, Screen
from stack.settings import load_settings, stored_variables
from stack.state import State
from stack.steps import Tick, bars, lines

app = typer.Typer()
console = Console()


@app.command()
def demo(
    orders: Annotated[int, typer.Option(min=1, max=100_000, help="How many orders the customers try to place.")] = 300,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the facts to this file as well.")] = None,
) -> None:
    """Start the stack if needed, run the shop, wait for the copies, build the marts, and prove everything equal."""
    if json_file is not None and not json_file.resolve().parent.is_dir():
        raise StackError(f"--json {json_file}: there is no folder {json_file.resolve().parent}; make it first")
    facts = Facts()
    started = time.monotonic()
    with ExitStack() as context:
        launcher.up(load_settings(), [], context.enter_context(Screen()) if sys.stderr.isatty() else Lines())
    facts.seconds["up"] = round(time.monotonic() - started, 1)
    variables = stored_variables(load_settings())
    os.environ.update(variables)
    wanted = State.load(load_settings().home).wanted
    facts.urls = {
        name.removesuffix("_URL").lower(): value
        for name, value in variables.items()
        if value.startswith("http") and ADDRESSED.get(name, "status-page") in wanted
    }
    try:
        with ExitStack() as context:
            run(variables, orders, facts, _bars(context) if console.is_terminal else lines())
    except CdcError as error:
        raise StackError(str(error)) from None
    facts.seconds["total"] = round(time.monotonic() - started, 1)
    _print(facts)
    if json_file is not None:
        json_file.write_text(json.dumps(facts.document(), indent=2) + "\n")
    if not facts.well:
        raise typer.Exit(1)


def _bars(context: ExitStack) -> Tick:
    progress = context.enter_context(bars(console))
    tasks: dict[str, TaskID] = {}

    def tick(step: str, done: int, of: int) -> None:
        if step not in tasks:
            for other in tasks.values():
                total = progress.tasks[other].total or 1
                progress.update(other, total=total, completed=total)
            tasks[step] = progress.add_task(step, total=of or None)
        progress.update(tasks[step], completed=done)

    return tick


def _print(facts: Facts) -> None:
    happened = ", ".join(f"{count} {what}" for what, count in facts.happened.items())
    console.print(f"\nIn the shop: {happened}\n")
    table = Table("table or index", "PostgreSQL", "ClickHouse", "Elasticsearch", "equal")
    for column in table.columns[1:4]:
        column.justify = "right"
    for proof in facts.tables:
        name = f"{proof.source}.{proof.table.removeprefix('public.')}"
        table.add_row(name, str(proof.rows_source), str(proof.rows_target), "", _word(proof.equal))
    for document in facts.documents:
        held = str(facts.indexed[document.index])
        table.add_row(f"index {document.index}", str(document.rows), "", held, _word(document.equal))
    console.print(table)
    for copy, times in facts.freshness_ms.items():
        console.print(f"a change is visible in {copy} after {times['p50']:.0f} ms (p50), {times['p99']:.0f} ms (p99)")
    console.print(f"checks: {facts.checks.get('passed', 0)} passed, {facts.checks.get('failed', 0)} failed\n")
    for failed in facts.failed_checks:
        console.print(f"  failed: {failed}")
    revenue = Table(
        "day",
        "currency",
        "orders",
        "gross",
        "refunds",
        "net",
        title="revenue of the last days (analytics.rpt_revenue_daily)",
    )
    for row in facts.revenue:
        revenue.add_row(*map(str, row))
    console.print(revenue)
    for name, url in facts.urls.items():
        console.print(f"  {name:<18} {url}")
    steps = ", ".join(f"{step.replace('_', ' ')} {seconds:g} s" for step, seconds in facts.seconds.items())
    console.print(f"\ntook {steps}")
    console.print(
        "[bold green]every copy equals its source[/]"
        if facts.well
        else "[bold red]NOT EQUAL, or a check failed: see above[/]"
    )
    console.print("the stack stays up for a look around; `make down` ends it")


def _word(equal: bool) -> str:
    return "yes" if equal else "NO"
