"""Processes of a stack whose supervisor is gone: found by the mark in their environment, ended by group.

Only processes that carry both this state folder and our mark are touched, with the children they have.
"""

import os
import signal
from collections.abc import Mapping
from pathlib import Path

import psutil

from stack.process import Node, Process
from stack.supervision import MARK, environment_of

GRACE_SECONDS = 20


def marked_processes(home: Path) -> dict[psutil.Process, str]:
    """Each living process that was started for this state folder, with the name it was started under."""
    found = {}
    for process in psutil.process_iter():
        environment = environment_of(process)
        if environment.get("MILLRACE_HOME") == str(home) and MARK in environment and process.pid != os.getpid():
            found[process] = environment[MARK]
    return found


def end_orphans(home: Path, nodes: Mapping[str, Node], *, grace: float = GRACE_SECONDS) -> list[str]:
    """End every process of this state folder, politely and then by force; returns their names."""
    marked = marked_processes(home)
    if not marked:
        return []
    family = set(marked)
    for process in marked:
        try:
            family.update(process.children(recursive=True))
        except psutil.NoSuchProcess:
            continue
    for process, name in sorted(marked.items(), key=lambda item: item[1] != "supervisor"):
        node = nodes.get(name)
        polite = node.stop_signal if isinstance(node, Process) else "TERM"
        _send(process, signal.Signals[f"SIG{polite}"])
    _, alive = psutil.wait_procs(family, timeout=grace)
    for process in alive:
        _send(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=10)
    return sorted(set(marked.values()))


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
