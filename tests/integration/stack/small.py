"""A small stack of its own, driven by the command as a person would."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from stack.orphans import marked_processes
from stack.settings import ROOT

MILLRACE = Path(sys.executable).parent / "millrace"


@dataclass
class SmallStack:
    """State folder and ports of a stack that a test starts and breaks."""

    home: Path
    port_base: int
    more: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str, seconds: float = 120) -> "subprocess.CompletedProcess[str]":
        """`millrace ARGUMENTS` with this stack's settings."""
        environment = {**os.environ, "MILLRACE_HOME": str(self.home), "MILLRACE_PORT_BASE": str(self.port_base)}
        return subprocess.run(
            [str(MILLRACE), *arguments],
            env=environment | self.more,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def up(self, only: str) -> str:
        """Start, which must succeed; returns what was printed."""
        done = self.run("up", "--only", only)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def down(self) -> str:
        """Stop, which must succeed and leave no process."""
        done = self.run("down")
        assert done.returncode == 0, done.stderr
        assert marked_processes(self.home) == {}
        return done.stdout

    def status(self) -> dict[str, Any]:
        """The document of `status --json`."""
        document: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return document

    def pids(self) -> dict[str, int | None]:
        """Process id by name."""
        return {process["name"]: process["pid"] for process in self.status()["processes"]}

    def env(self) -> dict[str, Any]:
        """The document of `env --json`."""
        document: dict[str, Any] = json.loads(self.run("env", "--json").stdout)
        return document

    def supervisor(self) -> psutil.Process:
        """The supervisor's process."""
        return next(process for process, name in marked_processes(self.home).items() if name == "supervisor")
