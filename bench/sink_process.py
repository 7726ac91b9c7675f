"""The running ClickHouse sink as a process: hold it still while a backlog is made, and see its memory."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from stack.inspection import report
from stack.settings import load_settings

NAME = "clickhouse-sink"
_EVERY = 0.1


class SinkProcess:
    """The sink of the running stack. ``peak`` is the largest resident size seen while it was watched, in bytes."""

    def __init__(self) -> None:
        pid = next((p.pid for p in report(load_settings()).processes if p.name == NAME), None)
        if pid is None:
            raise RuntimeError(f"{NAME} does not run; `millrace up`")
        self._process = psutil.Process(pid)
        self.peak = 0

    def cpu(self) -> float:
        """CPU time that it has used so far, in seconds."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Hold the process still for the block."""
        self._process.suspend()
        try:
            yield
        finally:
            self._process.resume()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Note its memory for the block."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(_EVERY):
                self.peak = max(self.peak, self._process.memory_info().rss)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
