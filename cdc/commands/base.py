"""What the commands share: the application, connections to the parts, and failures as one clear line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console

from cdc import clickhouse, source_file
from cdc import state as engine_state
from cdc.errors import CdcError
from cdc.kafka import Kafka
from cdc.settings import CdcSettings
from cdc.source_file import SourceFile

app = typer.Typer(no_args_is_help=True, help="Capture: source files, connectors, copies and their proof.")
console = Console()

Files = Annotated[list[Path] | None, typer.Argument(help="source files; all of cdc/sources when none is given")]
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object")]
Sources = Annotated[list[str] | None, typer.Option(help="only these sources")]
Tables = Annotated[
    list[str] | None,
    typer.Argument(help="table, schema.table, source.table or source.schema.table; all when none is given"),
]


@contextmanager
def clear_errors(command: str = "cdc") -> Iterator[None]:
    """Print the engine's own failures as one line, begun with the command's name, and end with status 2."""
    try:
        yield
    except CdcError as error:
        reason = str(error)
    except psycopg.OperationalError as error:
        reason = f"a database went away: {' '.join(str(error).split())}"
    except ClickHouseError as error:
        reason = f"ClickHouse went away or refuses: {clickhouse.first_line(error)}"
    else:
        return
    typer.echo(f"millrace {command}: {reason}", err=True)
    raise typer.Exit(2)


@contextmanager
def parts(config: CdcSettings) -> Iterator[tuple[psycopg.Connection[Any], Kafka, Client]]:
    """The engine's state, Kafka and ClickHouse."""
    kafka = Kafka(config.kafka_bootstrap)
    try:
        with engine_state.connect(config.millrace_state_dsn) as state:
            yield state, kafka, clickhouse.engine_client(config)
    finally:
        kafka.close()


def load(files: list[Path] | None, config: CdcSettings) -> list[SourceFile]:
    """The given source files, or all of the configured folder."""
    return source_file.load_all(files, config.cdc_sources)
