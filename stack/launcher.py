"""Starting and stopping a stack: what is needed first, in parallel where possible, and nothing that already runs.

`up` heals: it ends what a dead supervisor left behind, starts what does not run, repeats the one-time jobs whose
inputs changed, and touches nothing else. `down` ends everything and makes sure of it.
"""

import json
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from stack import graph
from stack.checks import examine, require
from stack.errors import CheckFailed, StackError, StartFailed
from stack.health import Unhealthy
from stack.orphans import end_orphans, marked_processes
from stack.process import Job, Node, Process
from stack.processes import Stack, describe
from stack.progress import UNCHANGED, Progress
from stack.secrets import write_private
from stack.settings import Settings, stored_variables
from stack.state import State, exclusive
from stack.supervision import Supervisor

ALIVE = ("RUNNING", "STARTING", "BACKOFF")
FIRST_POLL_SECONDS = 0.1
LAST_POLL_SECONDS = 0.6
EXITS_UNTIL_FAILED = 4


@dataclass(frozen=True)
class Started:
    """What `up` did."""

    processes: list[str]
    jobs: list[str]
    ended_orphans: list[str]
    seconds: float


def healthy(process: Process) -> str:
    """Empty when the process answers as it should, else what is wrong."""
    try:
        process.health()
    except Unhealthy as error:
        return str(error)
    return ""


def up(settings: Settings, only: Iterable[str], progress: Progress, additions: Iterable[str] = ()) -> Started:
    """Bring the wanted processes (all when `only` is empty) to health, and those of the named additions.

    Raises CheckFailed before anything is started, StartFailed when something does not become healthy.
    """
    began = time.monotonic()
    require(examine(settings, (), running=frozenset({"supervisor"})))
    settings.home.mkdir(parents=True, exist_ok=True)
    settings.logs.mkdir(exist_ok=True)
    with exclusive(settings.home):
        return _Start(settings, list(only), frozenset(additions), progress, began).run()


@dataclass
class _Start:
    settings: Settings
    only: list[str]
    additions: frozenset[str]
    progress: Progress
    began: float
    started: set[str] = field(default_factory=set)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def run(self) -> Started:
        self._refuse_other_ports()
        self.stack: Stack = describe(self.settings)
        nodes = self.stack.nodes
        self.chosen = graph.select(nodes, graph.wanted(nodes, self.only, self.additions))
        self.state = State.load(self.settings.home)
        self.supervisor = Supervisor(self.settings, self.stack.secrets["supervisor"])
        alive = self.supervisor.pid() is not None
        orphans = [] if alive else end_orphans(self.settings.home, nodes)
        running = self._running() if alive else frozenset()
        processes = [node for node in self.chosen.values() if isinstance(node, Process)]
        missing = [process for process in processes if process.name not in running]
        require(examine(self.settings, missing, running=running | ({"supervisor"} if alive else set())))
        self._supervise(alive, running)
        self.progress.expect(self.chosen)
        self._start_all()
        names = [name for name in self.chosen if name in self.started]
        return Started(
            [name for name in names if isinstance(nodes[name], Process)],
            [name for name in names if isinstance(nodes[name], Job)],
            orphans,
            time.monotonic() - self.began,
        )

    def _refuse_other_ports(self) -> None:
        stored = stored_variables(self.settings).get("MILLRACE_PORT_BASE")
        if stored is None or int(stored) == self.settings.port_base:
            return
        if any(name == "supervisor" for name in marked_processes(self.settings.home).values()):
            raise CheckFailed(
                f"the stack in {self.settings.home} runs with MILLRACE_PORT_BASE={stored}: "
                "`millrace down` first, or set that port base"
            )

    def _running(self) -> frozenset[str]:
        return frozenset(name for name, state in self.supervisor.states().items() if state.state in ALIVE)

    def _supervise(self, alive: bool, running: frozenset[str]) -> None:
        variables = json.dumps(self.stack.variables, indent=1, sort_keys=True)
        file = self.settings.environment_file
        if not file.exists() or file.read_text() != variables:
            write_private(file, variables)
        every = [node for node in self.stack.nodes.values() if isinstance(node, Process)]
        changed = self.supervisor.configure(every)
        if not alive:
            (self.settings.home / "supervisor").mkdir(exist_ok=True)
            self.supervisor.start()
        elif changed:
            self.supervisor.reload()
        kept = self.state.wanted if running else []
        wanted = [name for name in self.stack.nodes if name in kept or name in self.chosen]
        self.state.wanted = [name for name in wanted if isinstance(self.stack.nodes[name], Process)]
        self.state.save(self.settings.home)

    def _start_all(self) -> None:
        failures = graph.run(graph.needs_of(self.chosen), self._make_ready, cancelled=self.cancelled)
        if failures:
            for error in failures.values():
                if not isinstance(error, StackError):
                    raise error
            raise StartFailed("\n".join(f"{name}: {error}" for name, error in failures.items()))

    def _make_ready(self, name: str) -> None:
        node = self.stack.nodes[name]
        since = time.monotonic()
        try:
            did = self._job(node) if isinstance(node, Job) else self._process(node)
        except Exception:
            self.progress.at(name, "interrupted" if self.cancelled.is_set() else "failed")
            raise
        seconds = time.monotonic() - since
        if did:
            self.started.add(name)
            self.progress.at(name, f"{'done' if isinstance(node, Job) else 'ready'} ({seconds:.1f} s)")
        else:
            self.progress.at(name, UNCHANGED)

    def _job(self, job: Job) -> bool:
        fingerprint = job.fingerprint()
        fresh = job.each_start and any(need in self.started for need in job.needs)
        if not fresh and self.state.done.get(job.name) == fingerprint:
            return False
        self.progress.at(job.name, "at work...")
        job.run()
        with _STATE_LOCK:
            self.state.done[job.name] = fingerprint
            self.state.save(self.settings.home)
        return True

    def _process(self, process: Process) -> bool:
        if self.supervisor.state(process.name).state in ALIVE:
            if not healthy(process):
                return False
        else:
            self.progress.at(process.name, "preparing...")
            process.prepare()
            self.supervisor.start_process(process.name)
        self.progress.at(process.name, "starting...")
        self._wait_until_healthy(process)
        return True

    def _wait_until_healthy(self, process: Process) -> None:
        deadline = time.monotonic() + process.start_seconds
        pids: set[int] = set()
        pause = FIRST_POLL_SECONDS
        log = self.settings.logs / f"{process.name}.log"
        while not self.cancelled.is_set():
            state = self.supervisor.state(process.name)
            if state.state == "RUNNING" and not healthy(process):
                return
            pids |= {state.pid} - {0}
            if len(pids) > EXITS_UNTIL_FAILED or state.state == "FATAL":
                self.supervisor.stop_process(process.name)
                raise StartFailed(f"it exits as soon as it is started; its last words in {log}: {_last_words(log)}")
            if time.monotonic() > deadline:
                raise StartFailed(f"not healthy after {process.start_seconds} s ({healthy(process)}); see {log}")
            self.cancelled.wait(pause)
            pause = min(LAST_POLL_SECONDS, pause * 1.3)
        raise StartFailed("interrupted")


_STATE_LOCK = threading.Lock()


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace")[-4000:].splitlines() if line.strip()]
    return lines[-1][:300] if lines else "none"


@dataclass(frozen=True)
class Stopped:
    """What `down` did."""

    processes: list[str]
    orphans: list[str]
    seconds: float


def down(settings: Settings, progress: Progress) -> Stopped:
    """End every process of the stack, those that need others first; leaves data and passwords."""
    began = time.monotonic()
    if not (settings.home / "secrets.json").exists():
        return Stopped([], [], 0.0)
    with exclusive(settings.home):
        stack = describe(settings)
        supervisor = Supervisor(settings, stack.secrets["supervisor"])
        stopped: list[str] = []
        if supervisor.pid() is not None:
            stopped = _stop_all(stack.nodes, supervisor, progress)
            supervisor.shutdown()
        orphans = end_orphans(settings.home, stack.nodes)
        state = State.load(settings.home)
        state.wanted = []
        state.save(settings.home)
        return Stopped(stopped, orphans, time.monotonic() - began)


def _stop_all(nodes: dict[str, Node], supervisor: Supervisor, progress: Progress) -> list[str]:
    states = supervisor.states()
    alive = {name for name, state in states.items() if state.state in ALIVE}
    progress.expect(name for name in nodes if name in alive)

    def stop(name: str) -> None:
        if name in alive:
            progress.at(name, "stopping...")
            supervisor.stop_process(name)
            progress.at(name, "stopped")

    failures = graph.run(graph.reversed_needs(graph.needs_of(nodes)), stop)
    for error in failures.values():
        raise error
    return [name for name in nodes if name in alive]


def ailments(processes: Iterable[Process]) -> dict[str, str]:
    """What is wrong with each process, empty where nothing is; asked in parallel."""
    processes = list(processes)
    if not processes:
        return {}
    with ThreadPoolExecutor(max_workers=len(processes)) as pool:
        return dict(zip([process.name for process in processes], pool.map(healthy, processes), strict=True))
