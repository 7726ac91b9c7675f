"""What must be true of the machine before a stack can start, each with its remedy; `doctor` lists them all.

They look and report; none of them changes anything.
"""

import os
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import psutil

from stack.environment import HOST
from stack.errors import CheckFailed
from stack.parts import Part
from stack.ports import OFFSETS
from stack.privileges import server_account
from stack.process import Process
from stack.settings import ROOT, UNFIT, Settings

LEAST_DISK = 2 * 1024**3
LEAST_MEMORY = 4 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One check's outcome; `remedy` is empty when it is well."""

    title: str
    remedy: str = ""

    @property
    def well(self) -> bool:
        """Whether nothing is to be done."""
        return not self.remedy


def examine(settings: Settings, processes: Iterable[Process], *, running: frozenset[str]) -> Iterator[Finding]:
    """Every check for these processes; those in `running` may hold their own ports."""
    processes = list(processes)
    yield folder_finding(settings)
    yield disk_finding(settings)
    yield memory_finding()
    yield account_finding()
    wanted: dict[str, Part] = {part.title: part for process in processes for part in process.parts}
    for part in wanted.values():
        remedy = "" if part.present else f"{part.title} is missing: {part.remedy}"
        yield Finding(f"{part.title} ({part.path})" if part.present else part.title, remedy)
    for process in processes:
        if process.check_data is not None:
            yield data_finding(process.name, process.check_data)
    if "supervisor" not in running:
        yield port_finding("supervisor", settings.port(OFFSETS["supervisor"]))
    for process in processes:
        if process.name not in running:
            for port in process.ports:
                yield port_finding(process.name, port)


def require(findings: Iterable[Finding]) -> None:
    """Raise CheckFailed with one line for each finding that is not well."""
    remedies = [finding.remedy for finding in findings if not finding.well]
    if remedies:
        raise CheckFailed("\n".join(remedies))


def folder_finding(settings: Settings) -> Finding:
    """Whether we can write the state folder."""
    existing = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    title = f"state folder {settings.home}"
    if UNFIT.intersection(str(ROOT)):
        unfit = " ".join(sorted(UNFIT.intersection(str(ROOT))))
        return Finding(title, f"the checkout's path {ROOT} contains {unfit}, which servers cannot read: move it")
    if not existing.is_dir():
        return Finding(title, f"{existing} is not a folder: remove it or set MILLRACE_HOME to another place")
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding(title, f"{existing} is not writable: set MILLRACE_HOME to a folder of your own")
    if settings.home.exists() and settings.home.stat().st_uid != os.geteuid():
        return Finding(
            title, f"{settings.home} belongs to another user: use the stack as that user or set MILLRACE_HOME"
        )
    return Finding(title)


def disk_finding(settings: Settings) -> Finding:
    """Whether there is room for data and logs."""
    existing = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    title = f"disk space ({free / 1024**3:.1f} GB free)"
    if free < LEAST_DISK:
        return Finding(
            title,
            f"the disk of {existing} is full ({free / 1024**3:.1f} GB free, {LEAST_DISK / 1024**3:.0f} GB needed): "
            "free some space or set MILLRACE_HOME to another disk",
        )
    return Finding(title)


def memory_finding() -> Finding:
    """Whether the machine has the memory that a whole stack needs."""
    total = psutil.virtual_memory().total
    title = f"memory ({total / 1024**3:.1f} GB)"
    if total < LEAST_MEMORY:
        return Finding(
            title, f"{total / 1024**3:.1f} GB of memory are too few: a whole stack needs 6 GB, a part of it 4"
        )
    return Finding(title)


def account_finding() -> Finding:
    """Whether the servers that refuse root have somebody to run them."""
    try:
        return Finding(f"user for PostgreSQL and Elasticsearch ({server_account().name})")
    except CheckFailed as error:
        return Finding("user for PostgreSQL and Elasticsearch", str(error))


def data_finding(name: str, check_data: Callable[[], None]) -> Finding:
    """Whether the data folder of a process is whole or not there yet."""
    title = f"data of {name}"
    try:
        check_data()
    except CheckFailed as error:
        return Finding(title, str(error))
    return Finding(title)


def port_finding(name: str, port: int) -> Finding:
    """Whether a port is free for a process."""
    title = f"port {port} ({name})"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return Finding(
                title,
                f"port {port}, wanted by {name}, is taken{_holder(port)}: "
                "end that process or set MILLRACE_PORT_BASE to another range",
            )
    return Finding(title)


def _holder(port: int) -> str:
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:
        return ""
    for connection in connections:
        if not connection.laddr or not connection.pid:
            continue
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
            try:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
            except psutil.NoSuchProcess:
                return ""
    return ""
