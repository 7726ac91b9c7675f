"""A service's process beside the stack's, with settings of its own, that a test may kill."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import httpx


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(holds: Callable[[], bool], otherwise: str = "it did not happen in time", seconds: float = 30.0) -> None:
    """Return once it holds; fails the test after `seconds`."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)  # polls another process


class ServiceProcess:
    """`python -m services.<name>` with `environment` and a port of its own. Not started yet."""

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        port = str(free_port())
        self.name, self.url = name, f"http://127.0.0.1:{port}"
        self._environment = {**os.environ, **environment, "PORT": port}
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115

    def start(self, **settings: str) -> None:
        """Start it and return once it is ready."""
        self.begin(**settings)
        self.wait_until_answers("/readyz")

    def begin(self, **settings: str) -> None:
        """Start it and wait for nothing."""
        os.ftruncate(self._log.fileno(), 0)
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"services.{self.name}"],
            env={**self._environment, **settings},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def wait_until_answers(self, path: str) -> None:
        """Return once the path answers 200: `/livez` does as soon as it is up, `/readyz` when nothing is missing."""
        wait_until(lambda: self._answers(path), f"{self.name} does not answer {path}", 60)

    def wait_until_said(self, words: str) -> None:
        """Return once the words stand in its log."""
        wait_until(lambda: words.encode() in self.said(), f"{self.name} did not say {words!r}")

    def said(self) -> bytes:
        """Its log since it was started last."""
        return os.pread(self._log.fileno(), 1 << 24, 0)

    def _answers(self, path: str) -> bool:
        assert self._process is not None and self._process.poll() is None, f"{self.name} ended: {self.said()!r}"
        try:
            return httpx.get(self.url + path, timeout=30, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the signal and wait for the end, if it runs."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None

    def close(self) -> None:
        self.end()
        self._log.close()


@contextmanager
def service_process(name: str, environment: Mapping[str, str], **settings: str) -> Iterator[ServiceProcess]:
    """The process for the block, not started yet. `settings` are environment variables that differ from the stack's."""
    process = ServiceProcess(name, {**environment, **settings})
    try:
        yield process
    finally:
        process.close()
