"""The faults: when which process is killed, stopped for a while, or cut off from its databases; all from the seed."""

import random
import signal
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import psycopg

from stack.inspection import report
from stack.settings import Settings

KILL, STOP, CUT = "kill", "stop", "cut"
_WAIT_FOR_PROCESS = 45.0
_LONGEST_STOP = 8.0


@dataclass(frozen=True)
class Fault:
    """One fault: seconds after the beginning, what is done, to which process; ``seconds`` is how long a stop lasts."""

    at: float
    kind: str
    process: str
    seconds: float = 0.0


def schedule(seed: int, seconds: float, processes: tuple[str, ...]) -> list[Fault]:
    """Faults over ``seconds``, in order: each process is killed at least three times in ten minutes, and at least once."""
    chooser = random.Random(f"{seed}/faults")
    kills = max(1, round(3.5 * seconds / 600))
    planned = [(KILL, process) for process in processes for _ in range(kills)]
    extra = max(1, len(planned) // 4)
    planned += [(STOP, chooser.choice(processes)) for _ in range(extra)] + [(CUT, "postgres")] * extra
    chooser.shuffle(planned)
    gap = seconds / (len(planned) + 1)
    return [
        Fault(
            round((number + 1) * gap + chooser.uniform(-gap, gap) / 3, 2),
            kind,
            process,
            round(chooser.uniform(1, _LONGEST_STOP), 1) if kind == STOP else 0.0,
        )
        for number, (kind, process) in enumerate(planned)
    ]


class Faults:
    """Carries a schedule out on a running stack; ``kills`` counts by process what was really done."""

    def __init__(self, settings: Settings, admin_dsn: str, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._admin_dsn = admin_dsn
        self._say = say
        self._ended = threading.Event()
        self.kills: Counter[str] = Counter()
        self.others: Counter[str] = Counter()

    def run(self, faults: list[Fault], elapsed: Callable[[], float]) -> None:
        """Do each fault at its time; a process that is down just then is waited for."""
        for fault in faults:
            self._ended.wait(max(fault.at - elapsed(), 0))
            self._say(
                f"{elapsed():6.1f} s  {fault.kind} {fault.process}" + (f" for {fault.seconds} s" * (fault.seconds > 0))
            )
            if fault.kind == CUT:
                self._cut()
                continue
            process = self._find(fault.process)
            if process is None:
                self._say(f"         {fault.process} did not come back in {_WAIT_FOR_PROCESS:g} s")
                continue
            if fault.kind == KILL:
                self._kill(process)
                self.kills[fault.process] += 1
            else:
                self._stop(process, fault.seconds)
                self.others[f"{STOP} {fault.process}"] += 1

    def _find(self, name: str) -> psutil.Process | None:
        for _ in range(int(_WAIT_FOR_PROCESS / 0.5)):
            pid = next((p.pid for p in report(self._settings).processes if p.name == name), None)
            if pid is not None and psutil.pid_exists(pid):
                return psutil.Process(pid)
            self._ended.wait(0.5)
        return None

    def _kill(self, process: psutil.Process) -> None:
        for member in [process, *process.children(recursive=True)]:
            try:
                member.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue

    def _stop(self, process: psutil.Process, seconds: float) -> None:
        try:
            process.suspend()
            self._ended.wait(seconds)
            process.resume()
        except psutil.NoSuchProcess:
            self._say(f"         {process.pid} ended while it was stopped")

    def _cut(self) -> None:
        """End every connection to the database server but our own."""
        try:
            with psycopg.connect(self._admin_dsn, autocommit=True, connect_timeout=3) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                    "AND backend_type IN ('client backend', 'walsender')"
                )
            self.others[CUT] += 1
        except psycopg.OperationalError:
            self._say("         the server is down, so there was nothing to cut")
