"""Looking at a stack without changing it: status, logs, the doctor's checks."""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from stack.checks import Finding, examine
from stack.errors import StackError
from stack.launcher import ALIVE, ailments
from stack.process import Process
from stack.processes import describe
from stack.settings import Settings
from stack.state import State
from stack.supervision import ProcessState, Supervisor


@dataclass(frozen=True)
class ProcessReport:
    """One process as `status` shows it."""

    name: str
    pid: int | None
    state: str
    """`healthy`, or `unhealthy: why`, or supervisor's word for one that does not run."""
    rss_mb: float
    """Proportional set size with children, in MB: shared memory counted once over all processes."""
    uptime_s: float


@dataclass(frozen=True)
class Report:
    """All wanted processes; the total also counts the supervisor."""

    processes: list[ProcessReport]
    rss_mb: float
    healthy: bool

    def document(self) -> dict[str, Any]:
        """The `millrace status --json` document."""
        return {
            "processes": [vars(process) for process in self.processes],
            "rss_mb": self.rss_mb,
            "healthy": self.healthy,
        }


def report(settings: Settings) -> Report:
    """State of every wanted process; not healthy when nothing is wanted or one is not well."""
    wanted = State.load(settings.home).wanted
    if not wanted:
        return Report([], 0.0, healthy=False)
    stack = describe(settings)
    supervisor = Supervisor(settings, stack.secrets["supervisor"])
    pid = supervisor.pid()
    states = supervisor.states() if pid is not None else {}
    nodes = [stack.nodes[name] for name in wanted if name in stack.nodes]
    processes = [node for node in nodes if isinstance(node, Process)]
    running = [process for process in processes if process.name in states and states[process.name].state in ALIVE]
    faults = ailments(running)
    reports = [_report(process.name, states.get(process.name), faults.get(process.name)) for process in processes]
    total = sum(process.rss_mb for process in reports) + (memory_mb(pid, children=False) if pid is not None else 0.0)
    well = all(process.state == "healthy" for process in reports)
    return Report(reports, round(total, 1), healthy=pid is not None and well)


def _report(name: str, state: ProcessState | None, fault: str | None) -> ProcessReport:
    if state is None or not state.pid:
        return ProcessReport(name, None, "stopped" if state is None else state.state.lower(), 0.0, 0.0)
    word = f"unhealthy: {fault}" if fault else "healthy"
    return ProcessReport(name, state.pid, word, memory_mb(state.pid), round(time.time() - state.started, 1))


def memory_mb(pid: int, *, children: bool = True) -> float:
    """Proportional set size of a process in MB, with its children or without; zero when it is gone."""
    try:
        root = psutil.Process(pid)
        family = [root, *(root.children(recursive=True) if children else ())]
    except psutil.Error:
        return 0.0
    total = 0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue
    return round(total / 1024**2, 1)


def table(report: Report) -> str:
    """The report for a person."""
    if not report.processes:
        return "nothing runs: millrace up"
    grid = Table("process", "pid", "state", "MB", "up for", box=None, header_style="bold", pad_edge=False)
    for process in report.processes:
        up = f"{process.uptime_s:.0f} s" if process.pid else "-"
        grid.add_row(process.name, str(process.pid or "-"), process.state, f"{process.rss_mb:.0f}", up)
    grid.add_row("all", "", "healthy" if report.healthy else "NOT healthy", f"{report.rss_mb:.0f}", "")
    console = Console(width=140)
    with console.capture() as capture:
        console.print(grid)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def log_lines(settings: Settings, name: str, last: int, *, follow: bool) -> Iterator[str]:
    """The last lines of a process's log, and with `follow` those that are added, over rotations, until interrupted."""
    path = settings.logs / f"{name}.log"
    if not path.exists():
        known = sorted(file.stem for file in settings.logs.glob("*.log"))
        raise StackError(f"no log of {name!r}; there are: {', '.join(known) or 'none, run `millrace up`'}")
    file = path.open(errors="replace")
    try:
        yield from (line.rstrip("\n") for line in deque(file, maxlen=last))
        while follow:
            line = file.readline()
            if line:
                yield line.rstrip("\n")
            elif path.exists() and path.stat().st_ino != psutil_inode(file.fileno()):
                file.close()
                file = path.open(errors="replace")
            else:
                time.sleep(0.2)
    finally:
        file.close()


def psutil_inode(descriptor: int) -> int:
    """Inode of an open file."""
    import os

    return os.fstat(descriptor).st_ino


def examination(settings: Settings) -> Iterator[Finding]:
    """Every check of `up` for the whole stack, additions that run among it, on the machine as it is."""
    stack = describe(settings)
    supervisor = Supervisor(settings, stack.secrets["supervisor"])
    alive = supervisor.pid() is not None
    running = {name for name, state in supervisor.states().items() if state.state in ALIVE} if alive else set()
    every = [node for node in stack.nodes.values() if isinstance(node, Process)]
    processes = [process for process in every if not process.addition or process.name in running]
    return examine(settings, processes, running=frozenset(running | ({"supervisor"} if alive else set())))
