"""The one stack that all server tests of a run share, started by the same launcher as a person's.

It has a state folder and ports of its own, begins empty, and is taken down however the run ends. Tests in tests/unit
may not ask for it.
"""

import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import pytest

from cdc.settings import settings as engine_settings
from stack import launcher
from stack.inspection import Report, report
from stack.progress import Lines
from stack.settings import ROOT, Settings, stored_variables

UNIT = ROOT / "tests" / "unit"
DEFAULT_PORT_BASE = 24000


@dataclass(frozen=True)
class Stack:
    """The running stack."""

    settings: Settings
    env: dict[str, str]
    """The contract's variables."""

    def report(self) -> Report:
        """What `millrace status` says."""
        return report(self.settings)

    def pid(self, name: str) -> int:
        """Process id of a process that runs."""
        pid = next(process.pid for process in self.report().processes if process.name == name)
        assert pid is not None, f"{name} does not run"
        return pid

    def kill(self, name: str) -> int:
        """End a process and its children by SIGKILL, as a crash would; returns the process id it had."""
        process = psutil.Process(self.pid(name))
        family = [process, *process.children(recursive=True)]
        for member in family:
            member.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, timeout=10)
        return process.pid

    @contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop a process by SIGSTOP for the block, as a machine that hangs would."""
        process = psutil.Process(self.pid(name))
        process.suspend()
        try:
            yield
        finally:
            process.resume()

    def wait_until_healthy(self, seconds: float = 90.0) -> None:
        """Return when every process is well again; fails the test after `seconds`."""
        deadline = time.monotonic() + seconds
        while not (last := self.report()).healthy:
            if time.monotonic() > deadline:
                ill = {process.name: process.state for process in last.processes if process.state != "healthy"}
                pytest.fail(f"not healthy after {seconds:.0f} s: {ill}")
            time.sleep(0.5)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The whole stack, fresh, up and healthy."""
    port_base = int(os.environ.get("MILLRACE_TEST_PORT_BASE", DEFAULT_PORT_BASE))
    name = ".millrace-test" if port_base == DEFAULT_PORT_BASE else f".millrace-test-{port_base}"
    settings = Settings(home=ROOT / name, port_base=port_base)
    launcher.down(settings, Lines())
    shutil.rmtree(settings.home, ignore_errors=True)
    began = time.monotonic()
    try:
        launcher.up(settings, [], Lines())
        print(f"\nthe stack was up after {time.monotonic() - began:.0f} s", file=sys.stderr)
        yield Stack(settings, stored_variables(settings))
    finally:
        launcher.down(settings, Lines())


@pytest.fixture
def engine(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The CDC engine's settings in this process are those of the test stack."""
    for name, value in stack.env.items():
        monkeypatch.setenv(name, value)
    engine_settings.cache_clear()
    yield
    engine_settings.cache_clear()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a unit test that wants servers."""
    for item in items:
        if UNIT in item.path.parents and "stack" in getattr(item, "fixturenames", ()):
            raise pytest.UsageError(f"{item.nodeid} is a unit test and may not use the stack: move it")
