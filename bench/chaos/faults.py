"""The faults: when which process is killed, stopped for a while, or cut off from its databases; all from the seed."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import psutil
import psycopg

from bench.chaos.pair import Pair
from bench.chaos.processes import find, kill
from stack.settings import Settings

KILL, STOP, CUT, PROMOTE = "kill", "stop", "cut", "promote"
SOURCE = "source"
"""What the source's own server is called in a schedule."""
_LONGEST_STOP = 8.0


@dataclass(frozen=True)
class Fault:
    """One fault: seconds after the beginning, what is done, to which process; ``seconds`` is how long a stop lasts."""

    at: float
    kind: str
    process: str
    seconds: float = 0.0


def schedule(seed: int, seconds: float, processes: tuple[str, ...]) -> list[Fault]:
    """Faults over ``seconds``, in order: each process is killed, and the source's standby promoted, at least three times in ten
    minutes, and at least once."""
    chooser = random.Random(f"{seed}/faults")
    kills = max(1, round(3.5 * seconds / 600))
    planned = [(KILL, process) for process in processes for _ in range(kills)]
    extra = max(1, len(planned) // 4)
    planned += [(STOP, chooser.choice(processes)) for _ in range(extra)] + [(CUT, SOURCE)] * extra
    planned += [(PROMOTE, SOURCE)] * kills
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

    def __init__(self, settings: Settings, stack_dsn: str, pair: Pair, slot: str, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._stack_dsn = stack_dsn
        self._pair, self._slot = pair, slot
        self._say = say
        self.kills: Counter[str] = Counter()
        self.others: Counter[str] = Counter()

    def run(self, faults: list[Fault], elapsed: Callable[[], float]) -> None:
        """Do each fault at its time; a process that is down just then is waited for."""
        for fault in faults:
            time.sleep(max(fault.at - elapsed(), 0))  # the schedule
            self._say(
                f"{elapsed():6.1f} s  {fault.kind} {fault.process}" + (f" for {fault.seconds} s" * (fault.seconds > 0))
            )
            if fault.kind == CUT:
                self._cut()
            elif fault.kind == PROMOTE:
                kept = self._pair.promote(self._slot)
                self.others[f"{PROMOTE}, the slot {'kept' if kept else 'lost'}"] += 1
            elif (fault.kind, fault.process) == (KILL, SOURCE):
                self._pair.crash()
                self.kills[SOURCE] += 1
            else:
                self._break(fault)

    def _break(self, fault: Fault) -> None:
        process = self._pair.process() if fault.process == SOURCE else find(self._settings, fault.process)
        if process is None:
            self._say(f"         {fault.process} did not come back")
        elif fault.kind == KILL:
            kill(process)
            self.kills[fault.process] += 1
        else:
            self._stop(process, fault.seconds)
            self.others[f"{STOP} {fault.process}"] += 1

    def _stop(self, process: psutil.Process, seconds: float) -> None:
        try:
            process.suspend()
            try:
                time.sleep(seconds)  # the fault itself
            finally:
                process.resume()
        except psutil.NoSuchProcess:
            self._say(f"         {process.pid} ended while it was stopped")

    def _cut(self) -> None:
        """End every connection to the source's server, and to the stack's, but our own."""
        for dsn in (self._pair.admin_dsn, self._stack_dsn):
            try:
                with psycopg.connect(dsn, autocommit=True, connect_timeout=3) as connection:
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                        "AND backend_type IN ('client backend', 'walsender')"
                    )
                self.others[CUT] += 1
            except psycopg.OperationalError:
                self._say("         a server is down, so there was nothing to cut")
