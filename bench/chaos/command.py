"""``millrace chaos``: break every process under load, and see whether the copies end equal; exit status 1 when they do not."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.chaos.run import Outcome, run
from stack.settings import load_settings

app = typer.Typer(help="Break every process under load and judge the copies.")


@app.command()
def chaos(
    minutes: Annotated[float, typer.Option(min=0.5, help="how long to write and to break")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="statements and faults follow from it")] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the outcome to this file as well")] = None,
) -> None:
    """Run a mixed load on a database of its own while processes are killed, stopped and cut off; then compare sorted dumps.

    It breaks the processes of the whole stack: not for a stack that others use.
    """
    outcome = run(load_settings(), os.environ["POSTGRES_ADMIN_DSN"], minutes, seed, typer.echo)
    if json_file is not None:
        json_file.write_text(json.dumps(outcome.document(), indent=2) + "\n")
    _show(outcome)
    if not outcome.equal or outcome.short_of:
        raise typer.Exit(1)


def _show(outcome: Outcome) -> None:
    console = Console()
    for title, counts in (
        ("changes", outcome.changes),
        ("kills", outcome.kills),
        ("other faults", outcome.other_faults),
        ("failpoints", outcome.failpoints),
    ):
        console.print(f"{title}: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    shown = Table("table or index", "rows", "lost", "doubled", "different")
    judged = (*outcome.tables, *outcome.documents)
    for table in judged:
        shown.add_row(table.table, str(table.rows), str(table.lost), str(table.doubled), str(table.different))
    console.print(shown)
    for table in judged:
        for example in table.examples:
            console.print(f"{table.table}: {example}")
    for lack in outcome.short_of:
        console.print(f"too little was done: {lack}")
    console.print("every copy equals its source" if outcome.equal else "the copies are NOT equal")
