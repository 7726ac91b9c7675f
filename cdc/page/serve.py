"""Serves the page on loopback until it is told to stop."""

import secrets
from collections.abc import Callable
from contextlib import closing

import uvicorn

from cdc.errors import ConfigurationError, PermanentError
from cdc.page.actions import Actions
from cdc.page.app import application
from cdc.page.doors import Doors
from cdc.page.look import Eyes
from cdc.page.watch import Watch
from cdc.settings import CdcSettings

HOST = "127.0.0.1"
_GRACE_SECONDS = 3


def serve(
    config: CdcSettings,
    port: int,
    on_stop: Callable[[Callable[[], None]], None],
    told: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until stopped; ``told`` is called with the address that opens the page.

    Raises:
        ConfigurationError: the port is taken, or a setting is wrong.
        PermanentError: the page cannot look any more, by a fault of ours; the traceback is in the log.
    """
    token = config.cdc_page_token or secrets.token_hex(16)
    with closing(Eyes(config)) as eyes:
        watch = Watch(eyes.look, lambda: setattr(server, "should_exit", True))
        app = application(Doors(token, port), watch, Actions(config))
        server = uvicorn.Server(
            uvicorn.Config(
                app, HOST, port, access_log=False, log_level="warning", timeout_graceful_shutdown=_GRACE_SECONDS
            )
        )
        try:
            socket = server.config.bind_socket()
        except SystemExit:
            raise ConfigurationError(f"port {port} of {HOST} is taken; name another one") from None
        on_stop(lambda: setattr(server, "should_exit", True))
        watch.start()
        told(f"http://{HOST}:{port}/?token={token}")
        try:
            server.run([socket])
        finally:
            failed = not watch.is_alive()
            watch.stop()
            watch.join()
    if failed:
        raise PermanentError("the page could not look at the parts any more; the lines above say why")
