"""The one stack that all server tests of a run share, started by the same launcher as a person's.

It has a state folder and ports of its own, begins empty, and is taken down however the run ends. Tests in tests/unit
may not ask for it.
"""

import os
import signal
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil
import pytest

from cdc.settings import settings as engine_settings
from stack.inspection import Report, report
from stack.processes import describe
from stack.settings import ROOT, Settings, stored_variables
from stack.supervision import Supervisor
from tests import starting, what_was_logged

UNIT = ROOT / "tests" / "unit"
# There are dozens of connectors in a run: at 10 ms they would take a fifth of the machine.
os.environ.setdefault("MILLRACE_CDC_POLL_MILLISECONDS", "50")


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

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """End a process in order for the block: it holds no lock meanwhile, as a frozen one may."""
        supervisor = Supervisor(self.settings, describe(self.settings).secrets["supervisor"])
        supervisor.stop_process(name)
        try:
            yield
        finally:
            supervisor.start_process(name)

    def wait_until_healthy(self, seconds: float = 90.0) -> None:
        """Return when every process is well again; fails the test after `seconds`."""
        deadline = time.monotonic() + seconds
        while not (last := self.report()).healthy:
            if time.monotonic() > deadline:
                ill = {process.name: process.state for process in last.processes if process.state != "healthy"}
                pytest.fail(f"not healthy after {seconds:.0f} s: {ill}")
            time.sleep(0.5)


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Stack:
    """The whole stack, fresh, up and healthy; or what `tests.starting` is told."""
    if not starting.RUNNING:
        starting.wait_until_up(request.config.stash[starting.STARTED])
    settings = starting.settings()
    return Stack(settings, stored_variables(settings))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to start the stack, if a test wants it; unit tests run meanwhile."""
    wanted = any("stack" in getattr(item, "fixturenames", ()) for item in session.items)
    if wanted and not starting.RUNNING and not session.config.option.collectonly:
        session.config.stash[starting.STARTED] = starting.begin()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the stack, whether a test came to use it or not."""
    if (start := session.config.stash.get(starting.STARTED, None)) is not None:
        starting.end(start)


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """What a test's libraries do to SIGTERM ends with the test: Dagster handles it as SIGINT is handled, which whoever runs in the
    background ignores, and every process that is started afterwards would ignore it too."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def engine(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The CDC engine's settings in this process are those of the test stack."""
    for name, value in stack.env.items():
        monkeypatch.setenv(name, value)
    engine_settings.cache_clear()
    yield
    engine_settings.cache_clear()


LONG_TIMEOUT = 1800.0
"""Seconds for a long test, unless it says otherwise."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a unit test that wants servers; give long tests their time."""
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_TIMEOUT))
        if UNIT in item.path.parents and "stack" in getattr(item, "fixturenames", ()):
            raise pytest.UsageError(f"{item.nodeid} is a unit test and may not use the stack: move it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test of the stack shows what the stack's processes had to say."""
    report = yield
    if report.failed and "stack" in getattr(item, "fixturenames", ()):
        what_was_logged.tell(item, report)
    return report


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Only what is logged from here on is a test's own."""
    what_was_logged.remember(item)
