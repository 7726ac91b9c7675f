"""Finding, killing and waiting for processes of a running stack, as every kind of chaos does it."""

import signal
import time

import psutil

from stack.inspection import report
from stack.settings import Settings

_WAIT_FOR_PROCESS = 45.0
_POLL = 0.5


def find(settings: Settings, name: str) -> psutil.Process | None:
    """The process of that name, waited for when it is just being restarted; None when it does not come back."""
    for _ in range(int(_WAIT_FOR_PROCESS / _POLL)):
        pid = next((process.pid for process in report(settings).processes if process.name == name), None)
        if pid is not None and psutil.pid_exists(pid):
            return psutil.Process(pid)
        time.sleep(_POLL)  # polls the supervisor
    return None


def kill(process: psutil.Process) -> list[psutil.Process]:
    """End the process and its children by SIGKILL, as a crash would; those that were ended."""
    family = [process, *process.children(recursive=True)]
    for member in family:
        try:
            member.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
    return family


def wait_until_healthy(settings: Settings, seconds: float) -> None:
    """Return when every process of the stack is well. Raises TimeoutError naming those that are not."""
    deadline = time.monotonic() + seconds
    while not (last := report(settings)).healthy:
        if time.monotonic() > deadline:
            ill = ", ".join(f"{p.name} ({p.state})" for p in last.processes if p.state != "healthy")
            raise TimeoutError(f"not well {seconds:g} s after the last fault: {ill}")
        time.sleep(_POLL)  # polls the processes' health
