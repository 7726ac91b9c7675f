"""``millrace cdc``: plan and apply source files, look at what is captured, prove that the copies are equal."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from clickhouse_connect.driver.client import Client
from rich.console import Console
from rich.table import Table

from cdc import clickhouse, dead_letters_command, epoch_command, source_file
from cdc import state as engine_state
from cdc.connect.apply import apply_plan
from cdc.connect.plan import make_plan
from cdc.errors import CdcError
from cdc.kafka import Kafka
from cdc.settings import CdcSettings, settings
from cdc.source_file import SourceFile
from cdc.verify import DocumentProof, TableProof, verify_documents, verify_tables

app = typer.Typer(no_args_is_help=True, help="Capture: source files, connectors, copies and their proof.")
app.add_typer(dead_letters_command.app, name="deadletters")
app.command()(epoch_command.epoch)
console = Console()
Files = Annotated[list[Path] | None, typer.Argument(help="source files; all of cdc/sources when none is given")]


@contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except CdcError as error:
        typer.echo(f"millrace cdc: {error}", err=True)
        raise typer.Exit(2) from None


@contextmanager
def _parts(config: CdcSettings) -> Iterator[tuple[psycopg.Connection[Any], Kafka, Client]]:
    kafka = Kafka(config.kafka_bootstrap)
    try:
        with engine_state.connect(config.millrace_state_dsn) as state:
            yield state, kafka, clickhouse.connect(config.clickhouse_url, config.clickhouse_cdc_password)
    finally:
        kafka.close()


def _load(files: list[Path] | None, config: CdcSettings) -> list[SourceFile]:
    return source_file.load_all(files, config.cdc_sources)


@app.command()
def plan(files: Files = None) -> None:
    """Show what `apply` would change; changes nothing. Exit status 1 when something would change."""
    with _clear_errors(), _parts(config := settings()) as (state, kafka, target):
        plans = [make_plan(file, config, state, kafka, target) for file in _load(files, config)]
    for made in plans:
        for line in made.lines() or ["no changes"]:
            typer.echo(f"{made.file.source}: {line}")
    if any(made.lines() for made in plans):
        raise typer.Exit(1)


@app.command()
def apply(files: Files = None) -> None:
    """Make publications, slots, topics, raw tables and connectors as the source files say, and copy existing rows."""
    with _clear_errors(), _parts(config := settings()) as (state, kafka, target):
        for made in [make_plan(file, config, state, kafka, target) for file in _load(files, config)]:
            name = made.file.source

            def say(line: str, name: str = name) -> None:
                typer.echo(f"{name}: {line}")

            def progress(topic: str, rows: int, left: int) -> None:
                if left % 10 == 0:
                    typer.echo(f"{topic}: {rows} rows copied, {left} ranges left")

            for copied in apply_plan(made, config, state, kafka, target, say, progress):
                typer.echo(f"{name}: copied {copied.name}, {copied.rows} rows")
            if not made.lines():
                typer.echo(f"{name}: no changes")


@app.command()
def verify(
    tables: Annotated[list[str] | None, typer.Argument(help="table or schema.table; all when none is given")] = None,
    source: Annotated[list[str] | None, typer.Option(help="only these sources")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Compare every captured table and document with its copy, by content; exit status 1 when one differs."""
    with _clear_errors():
        copies = verify_tables(source, tables)
        documents = verify_documents(source) if tables is None else []
    equal = all(proof.equal for proof in copies) and all(proof.equal for proof in documents)
    if as_json:
        typer.echo(json.dumps(_as_json(copies, documents) | {"equal": equal}))
    else:
        _show(copies, documents)
    if not equal:
        raise typer.Exit(1)


def _as_json(copies: list[TableProof], documents: list[DocumentProof]) -> dict[str, Any]:
    return {
        "tables": [
            {
                "table": f"{proof.source}.{proof.table}",
                "rows": proof.rows_source,
                "lsn": proof.lsn,
                "keys": [list(key) for key in proof.differing_keys],
                "parked": proof.parked,
                "equal": proof.equal,
            }
            for proof in copies
        ],
        "documents": [
            {"index": proof.index, "rows": proof.rows, "lsn": proof.lsn, "keys": list(proof.keys), "equal": proof.equal}
            for proof in documents
        ],
    }


def _show(copies: list[TableProof], documents: list[DocumentProof]) -> None:
    shown = Table("table or index", "rows", "differing", "equal")
    for copy in copies:
        shown.add_row(f"{copy.source}.{copy.table}", str(copy.rows_source), str(copy.differing), _word(copy.equal))
    for document in documents:
        shown.add_row(f"index {document.index}", str(document.rows), str(document.differing), _word(document.equal))
    console.print(shown)
    for copy in copies:
        for key in copy.differing_keys:
            console.print(f"{copy.source}.{copy.table}: differs at key {', '.join(key)}")
    for document in documents:
        for identifier in document.keys:
            console.print(f"index {document.index}: differs at document {identifier}")


def _word(equal: bool) -> str:
    return "yes" if equal else "NO"
