"""``millrace bench``: run one benchmark against the running stack; exit status 1 when a bar was missed."""

from pathlib import Path
from typing import Annotated

import typer

from bench import backfill as backfill_bench
from bench import latency as latency_bench
from bench import shop_latency
from bench import verify as verify_bench
from bench.report import report

app = typer.Typer(no_args_is_help=True, help="Measure something beside its ceiling.")
JsonFile = Annotated[Path | None, typer.Option("--json", help="write the metrics to this file as well")]


@app.callback()
def benchmarks() -> None:
    """Measure something beside its ceiling."""


@app.command()
def latency(
    seconds: Annotated[int, typer.Option(min=1, help="how long to write")] = 60,
    rate: Annotated[int, typer.Option(min=1, help="commits a second")] = 50,
    json_file: JsonFile = None,
) -> None:
    """From COMMIT to visible in ClickHouse and in Elasticsearch, by SQL and over HTTP."""
    metrics = latency_bench.measure(seconds, rate) + shop_latency.measure(max(seconds // 2, 1))
    if not report("latency", metrics, json_file):
        raise typer.Exit(1)


@app.command()
def backfill(
    rows: Annotated[int, typer.Option(min=1000, help="rows of the table")] = 1_000_000,
    json_file: JsonFile = None,
) -> None:
    """Existing rows into ClickHouse, beside the bare pipe of COPY into INSERT."""
    if not report("backfill", backfill_bench.measure(rows), json_file):
        raise typer.Exit(1)


@app.command()
def verify(
    rows: Annotated[int, typer.Option(min=1000, help="rows of the table")] = 1_000_000,
    json_file: JsonFile = None,
) -> None:
    """One altered cell found and mended while the table is written."""
    if not report("verify", verify_bench.measure(rows), json_file):
        raise typer.Exit(1)
