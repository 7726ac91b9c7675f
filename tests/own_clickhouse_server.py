"""A ClickHouse server of a test's own, as the stack would start it, to be killed and started again."""

import subprocess
from collections import defaultdict
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
        self._process = subprocess.Popen((*within, *self._server.command), cwd=ROOT)
        eventually(self._answers, f"the test's own ClickHouse at {self.url} answers")

    def kill(self) -> None:
        """End it as a crash does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in order, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(60)

    def _answers(self) -> bool:
        assert self._process is not None and self._process.poll() is None, "the test's own ClickHouse has ended"
        try:
            self._server.health()
        except Unhealthy:
            return False
        return True
