"""``millrace bench``: run one benchmark against the running stack; exit status 1 when a bar was missed."""

from pathlib import Path
from typing import Annotated

import typer

from bench import api as api_bench
from bench import backfill as backfill_bench
from bench import documents as documents_bench
from bench import drain as drain_bench
from bench import inventory as inventory_bench
from bench import latency as latency_bench
from bench import marts as marts_bench
from bench import memory as memory_bench
from bench import outbox as outbox_bench
from bench import saga as saga_bench
from bench import shop_latency
from bench import stream as stream_bench
from bench import verify as verify_bench
from bench.relevance import measure as relevance_bench
from bench.report import report
from cdc.documents import index
from cdc.settings import settings

app = typer.Typer(no_args_is_help=True, help="Measure something beside its ceiling.")
JsonFile = Annotated[Path | None, typer.Option("--json", help="write the metrics to this file as well")]


@app.callback()
def benchmarks() -> None:
    """Measure something beside its ceiling."""


@app.command()
def api(
    seconds: Annotated[float, typer.Option(min=0.5, help="how long each round takes")] = 3.0,
    json_file: JsonFile = None,
) -> None:
    """Reading a product from the process, from Redis and from the database, beside a route that answers nothing."""
    if not report("api", api_bench.measure(seconds), json_file):
        raise typer.Exit(1)


@app.command()
def outbox(
    transactions: Annotated[int, typer.Option(min=100, help="transactions of each kind")] = 3000,
    json_file: JsonFile = None,
) -> None:
    """A transaction that tells an event, by a message in the log or by a row, beside the same without an event."""
    if not report("outbox", outbox_bench.measure(transactions), json_file):
        raise typer.Exit(1)


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
def memory(
    rows: Annotated[int, typer.Option(min=1000, help="rows of the one transaction")] = 5_000_000,
    events: Annotated[int, typer.Option(min=300_000, help="about so many events in the backlog")] = 10_000_000,
    json_file: JsonFile = None,
) -> None:
    """The ClickHouse sink's memory for one huge transaction and for a huge backlog."""
    if not report("memory", memory_bench.measure(rows, events), json_file):
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
def documents(
    roots: Annotated[int, typer.Option(min=1000, help="roots, each with three children")] = 100_000,
    changes: Annotated[int, typer.Option(min=100, help="children changed in one transaction")] = 20_000,
    json_file: JsonFile = None,
) -> None:
    """Documents of two levels into Elasticsearch, beside the same bodies by raw `_bulk`; changed children until found."""
    if changes > 3 * roots:
        raise typer.BadParameter("there must be no more changes than children")
    if not report("documents", documents_bench.measure(roots, changes), json_file):
        raise typer.Exit(1)


@app.command()
def relevance(json_file: JsonFile = None) -> None:
    """What the search finds for judged queries, beside a plain `match` on name and description."""
    with index.connect(settings().elasticsearch_url) as client:
        found = relevance_bench.outcomes(client)
    if not report("relevance", relevance_bench.metrics(found), json_file):
        raise typer.Exit(1)


@app.command()
def verify(
    rows: Annotated[int, typer.Option(min=1000, help="rows of the table")] = 1_000_000,
    json_file: JsonFile = None,
) -> None:
    """One altered cell found and mended while the table is written."""
    if not report("verify", verify_bench.measure(rows), json_file):
        raise typer.Exit(1)


@app.command()
def inventory(
    attempts: Annotated[int, typer.Option(min=100, help="attempts of each turn")] = 20_000,
    pieces: Annotated[int, typer.Option(min=1, help="pieces there are; fewer than attempts")] = 6_000,
    json_file: JsonFile = None,
) -> None:
    """One product that everybody wants: attempts a second, beside a bare conditional UPDATE."""
    if pieces > attempts:
        raise typer.BadParameter("there must be no more pieces than attempts")
    if not report("inventory", inventory_bench.measure(attempts, pieces), json_file):
        raise typer.Exit(1)


@app.command()
def saga(
    sagas: Annotated[int, typer.Option(min=20, help="orders of each of the three runs")] = 400,
    json_file: JsonFile = None,
) -> None:
    """Orders a second of one and of two orchestrators, beside the same steps without durability."""
    if not report("saga", saga_bench.measure(sagas), json_file):
        raise typer.Exit(1)


@app.command()
def marts(
    changed: Annotated[int, typer.Option(min=1, help="orders changed between the builds")] = 1000,
    json_file: JsonFile = None,
) -> None:
    """Every mart from nothing, and after a thousand orders of three days changed; see `millrace simulate`."""
    if not report("marts", marts_bench.measure(changed), json_file):
        raise typer.Exit(1)
