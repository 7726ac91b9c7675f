"""The engine's processes started by a test, beside those of the stack, on ports of their own."""

import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.integration.cdc.waiting import eventually


class EngineProcess:
    """A running process of the engine, and what its health port says."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process, self._port = process, port

    def facts(self) -> dict[str, Any]:
        """What it answers on /livez; fails the test when it has ended."""
        assert self._process.poll() is None, f"the process has ended with {self._process.returncode}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/livez", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            return {"ready": False}
        return found

    @property
    def url(self) -> str:
        """Address of its health port."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def memory(self) -> int:
        """Its resident size in bytes."""
        return int(psutil.Process(self._process.pid).memory_info().rss)


@contextmanager
def engine_process(python: Path, module: str, folder: Path, environment: Mapping[str, str]) -> Iterator[EngineProcess]:
    """`python -m module` in the folder with this environment alone, once it is ready; ended in good order afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(python), "-m", module]
    process = subprocess.Popen(command, cwd=folder, env={**environment, "HEALTH_PORT": str(port)})
    try:
        running = EngineProcess(process, port)
        eventually(lambda: bool(running.facts()["ready"]), f"{module} is ready")
        yield running
    finally:
        process.terminate()
        process.wait(60)
