"""``millrace cdc page``: the status page, served for as long as the command runs."""

import signal
from collections.abc import Callable
from typing import Annotated

import typer

from cdc.commands.base import app, clear_errors
from cdc.settings import settings


@app.command()
def page(port: Annotated[int, typer.Option(min=1, max=65535, help="port of loopback")] = 8321) -> None:
    """Serve the status page on loopback until Ctrl-C, and print the address that opens it."""
    from cdc.page.serve import serve  # the other commands start quicker without a web server

    def on_stop(stop: Callable[[], None]) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop())

    with clear_errors():
        serve(settings(), port, on_stop, typer.echo)
