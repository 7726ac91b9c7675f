"""``millrace bench``: run one benchmark against the running stack; exit status 1 when a bar was missed."""

from pathlib import Path
from typing import Annotated

import typer

from bench import backfill as backfill_bench
from bench import drain as drain_bench
from bench import latency as latency_bench
from bench import shop_latency
from bench import stream as stream_bench
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
def drain(
    events: Annotated[int, typer.Option(min=150_000, help="about so many events in the topic")] = 900_000,
    json_file: JsonFile = None,
) -> None:
    """The ClickHouse sink emptying a topic, beside reading alone and beside ClickHouse's Kafka engine."""
    if not report("drain", drain_bench.measure(events), json_file):
        raise typer.Exit(1)


@app.command()
def stream(
    changes: Annotated[int, typer.Option(min=1000, help="changes written beforehand")] = 300_000,
    json_file: JsonFile = None,
) -> None:
    """A backlog of changes from PostgreSQL into ClickHouse, beside Debezium alone into Kafka."""
    if not report("stream", stream_bench.measure(changes), json_file):
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
