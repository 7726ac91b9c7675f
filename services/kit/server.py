"""Serving an app until it is told to stop, and stopping so that no request is lost.

On SIGTERM /readyz says 503 `draining` at once; for NOTICE_S requests are still taken, so that whoever sends them sees the
notice first; then the socket is closed, what is in flight is finished within GRACE_S, and the process ends by the signal.
SIGINT, a person's Ctrl-C, leaves out the notice.
"""

import signal
import socket
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.kit import log, telemetry

NOTICE_S = 0.5
# The supervisor kills later than notice and grace together.
GRACE_S = 10
# Longer than the callers keep an idle connection, so that the server never closes one that a request is being sent on.
KEEP_ALIVE_S = 30
# The parser keeps a head until it is complete, however long; what is shorter than this is judged by services/kit/limits.py.
MAX_HEAD_BYTES = 64 * 1024
_HEAD_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class _Protocol(HttpToolsProtocol):
    """HTTP whose heads cannot fill the memory."""

    _head_bytes: int | None = None

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._head_bytes = None
                self.transport.write(_HEAD_TOO_LARGE)
                self.transport.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self._exit_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM and self.started and self._exit_at is None:
            self._captured_signals.append(sig)
            self._app.state.draining = True
            self._exit_at = time.monotonic() + NOTICE_S
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        notice_is_over = self._exit_at is not None and time.monotonic() >= self._exit_at
        return await super().on_tick(counter) or notice_is_over

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        telemetry.shutdown()


def serve(name: str, app: FastAPI, port: int) -> None:
    """Run the app on 127.0.0.1:`port` until SIGTERM or SIGINT, then finish what is in flight."""
    log.configure(name)
    telemetry.configure(name)
    config = uvicorn.Config(
        app,
        http=_Protocol,
        host="127.0.0.1",
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    _Server(config, app).run()
