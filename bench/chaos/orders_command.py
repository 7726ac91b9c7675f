"""``millrace chaos-orders``: kill what orders need while they are placed; exit status 1 when anything does not add up."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.chaos.orders_run import Outcome, run
from stack.settings import load_settings, stored_variables

app = typer.Typer(help="Kill what orders need while they are placed, and judge the outcome.")


@app.command("chaos-orders")
def chaos_orders(
    orders: Annotated[int, typer.Option(min=250, help="how many customers place an order")] = 500,
    seed: Annotated[int, typer.Option(min=0, help="orders and kills follow from it")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the outcome to this file as well")] = None,
) -> None:
    """Place orders, some declined, unanswered or cancelled, while services, queues and the database are killed in turn.

    It kills processes of the whole stack: not for a stack that others use.
    """
    settings = load_settings()
    outcome = run(settings, stored_variables(settings), orders, seed, typer.echo)
    if json_file is not None:
        json_file.write_text(json.dumps(outcome.document(), indent=2) + "\n")
    _show(outcome)
    if not outcome.sound:
        raise typer.Exit(1)


def _show(outcome: Outcome) -> None:
    console = Console(soft_wrap=True)
    for title, counts in (
        ("orders", outcome.orders),
        ("answers", outcome.answers),
        ("kills", outcome.kills),
        ("sagas in flight that were hit", outcome.hit),
    ):
        console.print(f"{title}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    console.print(f"sagas resumed, seconds after orders was back: {', '.join(map(str, outcome.resumed_s))}")
    for name, count in (*outcome.invariants.items(), *outcome.sums.items()):
        if count:
            console.print(f"VIOLATED {name}: {count}")
    for example in outcome.examples:
        console.print(f"  {example}", markup=False)
    for lack in outcome.short_of:
        console.print(f"too little was done: {lack}")
    console.print("money, goods and orders add up" if outcome.sound else "the run is NOT sound")
