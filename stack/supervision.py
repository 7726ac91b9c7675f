"""Our use of supervisor: its settings made from the process descriptions, and a small client of its XML-RPC.

The control port is on loopback with a generated password rather than a unix socket, whose path may be no longer than
107 bytes. Programs never start by themselves (`autostart=false`): the launcher starts each when what it needs is
healthy; once started, supervisor restarts it whatever it dies of.
"""

import os
import shlex
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

import psutil

from stack.environment import HOST, INHERITED
from stack.errors import StackError, StartFailed
from stack.ports import OFFSETS
from stack.process import Process
from stack.secrets import write_private
from stack.settings import ROOT, Settings

MARK = "MILLRACE_PROCESS"
"""In the environment of each process of a stack, with its name: how one is found when its supervisor is gone."""

NOT_RUNNING_FAULT = 70


@dataclass(frozen=True)
class ProcessState:
    """What supervisor says of a process."""

    name: str
    state: str
    pid: int
    started: float
    """Seconds since the epoch."""


def render(settings: Settings, password: str, processes: Iterable[Process]) -> str:
    """The supervisord.conf of a stack."""
    folder = settings.home / "supervisor"
    sections = [
        _section(
            "inet_http_server",
            port=f"{HOST}:{settings.port(OFFSETS['supervisor'])}",
            username="millrace",
            password=password,
        ),
        _section(
            "supervisord",
            directory=str(ROOT),
            logfile=str(folder / "supervisord.log"),
            logfile_maxbytes="5MB",
            logfile_backups="1",
            pidfile=str(folder / "supervisord.pid"),
            childlogdir=str(settings.logs),
            umask="022",
            **({"user": "root"} if os.geteuid() == 0 else {}),
        ),
        _section(
            "rpcinterface:supervisor",
            **{"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        ),
    ]
    sections += [_program(settings, process) for process in processes]
    return "\n".join(sections)


def _program(settings: Settings, process: Process) -> str:
    environment = {"PYTHONUNBUFFERED": "1", **process.environment, MARK: process.name}
    return _section(
        f"program:{process.name}",
        command=shlex.join(process.command),
        environment=",".join(f'{name}="{value}"' for name, value in sorted(environment.items())),
        autostart="false",
        autorestart="true",
        startsecs="1",
        startretries="1000",
        stopsignal=process.stop_signal,
        stopwaitsecs=str(process.stop_seconds),
        stopasgroup="true" if process.signal_group else "false",
        killasgroup="true",
        redirect_stderr="true",
        stdout_logfile=str(settings.logs / f"{process.name}.log"),
        stdout_logfile_maxbytes="10MB",
        stdout_logfile_backups="2",
    )


def _section(title: str, **values: str) -> str:
    lines = [f"{name} = {value.replace('%', '%%')}" for name, value in values.items()]
    return "\n".join([f"[{title}]", *lines, ""])


class Supervisor:
    """The supervisor of one stack. Each call opens a connection of its own, so threads may share an instance."""

    def __init__(self, settings: Settings, password: str) -> None:
        self._settings = settings
        self._password = password
        self._folder = settings.home / "supervisor"
        self._url = f"http://millrace:{password}@{HOST}:{settings.port(OFFSETS['supervisor'])}/RPC2"

    @property
    def configuration(self) -> Path:
        """Its settings file, mode 600: it holds the passwords given to processes."""
        return self._folder / "supervisord.conf"

    def pid(self) -> int | None:
        """Its process id when it answers to our password, else None."""
        try:
            return int(self._call("getPID"))
        except StackError:
            return None

    def configure(self, processes: Iterable[Process]) -> bool:
        """Write its settings; True when they differ from those on disk."""
        text = render(self._settings, self._password, processes)
        if self.configuration.exists() and self.configuration.read_text() == text:
            return False
        write_private(self.configuration, text)
        return True

    def start(self) -> None:
        """Start supervisord as a daemon. Raises StartFailed with its own words."""
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment["MILLRACE_HOME"] = str(self._settings.home)
        environment[MARK] = "supervisor"
        command = [sys.executable, "-m", "stack.supervisor_daemon", "-c", str(self.configuration)]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise StartFailed(f"supervisord did not start: {(done.stderr or done.stdout).strip()[-300:]}")

    def reload(self) -> None:
        """Take up changed settings; programs whose description changed are stopped, to be started anew."""
        ((added, changed, removed),) = self._call("reloadConfig")
        for name in [*changed, *removed]:
            self._call("stopProcessGroup", name)
            self._call("removeProcessGroup", name)
        for name in [*added, *changed]:
            self._call("addProcessGroup", name)

    def states(self) -> dict[str, ProcessState]:
        """State of each program by name."""
        return {
            info["name"]: ProcessState(info["name"], info["statename"], info["pid"], info["start"])
            for info in self._call("getAllProcessInfo")
        }

    def state(self, name: str) -> ProcessState:
        """State of one program."""
        info = self._call("getProcessInfo", name)
        return ProcessState(info["name"], info["statename"], info["pid"], info["start"])

    def start_process(self, name: str) -> None:
        """Begin to start a program, without waiting for anything."""
        self._call("startProcess", name, False)

    def stop_process(self, name: str) -> None:
        """Stop a program and wait until it is gone; no harm when it is not running."""
        self._call("stopProcess", name, True, ignore=NOT_RUNNING_FAULT)

    def shutdown(self) -> None:
        """Stop whatever still runs, then supervisord itself; returns when it is gone."""
        pid = self.pid()
        if pid is None:
            return
        process = psutil.Process(pid)
        self._call("shutdown")
        try:
            process.wait(timeout=60)
        except psutil.TimeoutExpired:
            process.kill()

    def _call(self, method: str, *arguments: object, ignore: int | None = None) -> Any:
        try:
            with xmlrpc.client.ServerProxy(self._url, allow_none=True) as server:
                return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == ignore:
                return None
            raise StackError(f"supervisor refused {method}{arguments}: {fault.faultString}") from fault
        except (OSError, HTTPException, xmlrpc.client.ProtocolError) as error:
            raise StackError("the stack's supervisor does not answer: run `millrace up`") from error


def environment_of(process: psutil.Process) -> Mapping[str, str]:
    """A process's environment, empty where we may not look."""
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}
