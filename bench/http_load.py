"""A load generator for HTTP/1.1 over kept connections: the next request goes out when the answer is whole.

`wrk` costs less a request and is used when it is there. This one runs in a process of its own, beside the server; on few
cores both slow each other alike in every measurement of one run, so that ratios hold.
"""

import asyncio
import json
import multiprocessing
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import uvloop

CONNECTIONS = 32
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Load:
    """What came of it: answers a second once it was warm, answers in all, and how many of these were not 200."""

    rate: float
    answers: int
    failures: int


def generator() -> str:
    """Which of the two is used."""
    return "wrk" if shutil.which("wrk") else "bench.http_load"


def run(port: int, paths: Sequence[str], seconds: float, headers: str = "") -> Load:
    """Ask 127.0.0.1:`port` for the paths in turn for so long; ``headers`` are whole lines."""
    if program := shutil.which("wrk"):
        return _wrk(program, port, paths, seconds, headers)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return Load(*pool.apply(_own, (port, list(paths), seconds, headers)))


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, requests: list[bytes], first: int) -> None:
        self._requests, self._next = requests, first
        self._buffer = b""
        self.answers = self.failures = 0
        self.ended: BaseException | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = error or ConnectionError("the server closed a connection")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(self._buffer, 0, head)
        if len(self._buffer) < head + 4 + (int(length[1]) if length else 0):
            return
        self.answers += 1
        self.failures += not self._buffer.startswith(b"HTTP/1.1 200")
        self._buffer = b""
        self._ask()

    def _ask(self) -> None:
        self._transport.write(self._requests[self._next])
        self._next = (self._next + 1) % len(self._requests)


def _own(port: int, paths: list[str], seconds: float, headers: str) -> tuple[float, int, int]:
    requests = [f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode() for path in paths]

    async def main() -> tuple[float, int, int]:
        loop = asyncio.get_running_loop()
        clients = [_Client(requests, n * len(requests) // CONNECTIONS) for n in range(CONNECTIONS)]
        for client in clients:
            await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
        await asyncio.sleep(min(seconds / 4, 1))  # warms up; what is measured begins now
        before, began = sum(c.answers for c in clients), time.perf_counter()
        await asyncio.sleep(seconds)
        answers, took = sum(c.answers for c in clients) - before, time.perf_counter() - began
        if ended := [c.ended for c in clients if c.ended is not None]:
            raise ended[0]
        if not answers:
            raise TimeoutError(f"no answer to {paths[0]} within {seconds:g} s")
        return answers / took, sum(c.answers for c in clients), sum(c.failures for c in clients)

    return uvloop.run(main())


def _wrk(program: str, port: int, paths: Sequence[str], seconds: float, headers: str) -> Load:
    """wrk with a script that takes the paths in turn and writes what it counted as JSON."""
    wanted = "\n".join(f'wrk.headers["{name}"] = "{value.strip()}"' for name, value in _pairs(headers))
    script = f"""
local paths, n = {{{", ".join(map(json.dumps, paths))}}}, 0
{wanted}
request = function() n = n % #paths + 1; return wrk.format("GET", paths[n]) end
done = function(summary)
    io.write(string.format('\\n{{"rate": %f, "answers": %d, "failures": %d}}\\n',
                           summary.requests / summary.duration * 1e6, summary.requests,
                           summary.errors.status + summary.errors.read + summary.errors.timeout))
end
"""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "paths.lua"
        file.write_text(script)
        command = [program, "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(file)]
        output = subprocess.run(
            [*command, f"http://127.0.0.1:{port}"], check=True, capture_output=True, text=True
        ).stdout
    return Load(**json.loads(output.strip().splitlines()[-1]))


def _pairs(headers: str) -> list[tuple[str, str]]:
    return [(name, value) for line in headers.splitlines() if line for name, _, value in [line.partition(":")]]
