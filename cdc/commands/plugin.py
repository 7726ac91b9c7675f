"""``millrace cdc connect-plugin``: our Java classes for a Kafka Connect that somebody else runs."""

from pathlib import Path
from typing import Annotated

import typer

from cdc.commands.base import app, clear_errors
from cdc.connect.plugin import build


@app.command("connect-plugin")
def connect_plugin(
    debezium: Annotated[Path, typer.Argument(help="plugin folder of Debezium's connector for PostgreSQL")],
    kafka_libs: Annotated[
        Path | None, typer.Option(help="folder of Kafka Connect's own jars, where they are not in the plugin folder")
    ] = None,
    compiler: Annotated[
        Path | None, typer.Option(help="`javac`, or the jar of ecj; otherwise javac of JAVA_HOME or of the PATH")
    ] = None,
) -> None:
    """Compile the engine's Java classes into Debezium's plugin folder. `make setup` does it for the stack."""
    with clear_errors():
        jar = build(debezium, kafka_libs, compiler)
        typer.echo(f"wrote {jar}; start Kafka Connect again")
