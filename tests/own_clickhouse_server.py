"""A ClickHouse server of a test's own, as the stack would start it, to be killed and started again."""

import subprocess
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stack.environment import contract
from stack.health import Unhealthy
from stack.process import Job, Process
from stack.processes import clickhouse
from stack.settings import ROOT, Settings
from tests.integration.cdc.waiting import eventually

PASSWORD = "own"


class OwnClickHouseServer:
    """The server: prepared, not started. ``folder`` holds its configuration and its data, ``variables`` are the contract's; every
    user has the same password."""

    def __init__(self, home: Path, port_base: int) -> None:
        settings = Settings(home=home, port_base=port_base)
        secrets: defaultdict[str, str] = defaultdict(lambda: PASSWORD)
        self.variables = contract(settings, secrets)
        self.folder = home / "clickhouse"
        server, databases = clickhouse.nodes(settings, secrets, self.variables)
        assert isinstance(server, Process) and isinstance(databases, Job)
        self._server, self.make_databases = server, databases.run
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted = False
        self._said = self.folder / "logs" / "error.log"
        server.prepare()

    @property
    def url(self) -> str:
        """Its address."""
        return self.variables["CLICKHOUSE_URL"]

    @property
    def pid(self) -> int:
        """Of the process, once it was started."""
        assert self._process is not None
        return self._process.pid

    def start(self, *within: str) -> None:
        """Start it, where given by another command, and return when it answers."""
        self._launch(*within)
        self._wanted = True
        eventually(self._answers, f"the test's own ClickHouse at {self.url} answers")

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        self._wanted = False
        self._process.kill()
        self._process.wait()

    @contextmanager
    def supervised(self) -> Iterator[None]:
        """Within, it is started again when it ends by itself, as the stack's supervisor would."""
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.2):
                if self._wanted and self._process is not None and self._process.poll() is not None:
                    self._launch()

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            yield
        finally:
            over.set()
            watching.join()

    def stop(self) -> None:
        """End it in order, if it runs."""
        self._wanted = False
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)

    def is_well(self) -> bool:
        """Whether it runs, answers, and is not about to end: the library build goes on answering for seconds while it writes down why."""
        running = self._process is not None and self._process.poll() is None
        return (
            running
            and not (self._said.exists() and b"Terminate called" in self._said.read_bytes())
            and self._is_healthy()
        )

    def _launch(self, *within: str) -> None:
        self._said.unlink(missing_ok=True)
        self._process = subprocess.Popen((*within, *self._server.command), cwd=ROOT)

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, "the test's own ClickHouse has ended"
        return self._is_healthy()

    def _is_healthy(self) -> bool:
        try:
            self._server.health()
        except Unhealthy:
            return False
        return True
