"""The stack of a test run: its start is begun when the tests are collected, so that it comes up while the unit tests run.

`MILLRACE_TEST_PORT_BASE` and `MILLRACE_TEST_ONLY` (names of processes) choose another place, or a part of it. With
`MILLRACE_TEST_STACK=running` the tests take the stack that runs there, and leave it up: for whoever repeats a test often.
"""

import os
import shutil
import subprocess
import sys
from typing import NamedTuple

import pytest

from stack import launcher
from stack.progress import Lines
from stack.settings import ROOT, Settings

DEFAULT_PORT_BASE = 24000
PORT_BASE = int(os.environ.get("MILLRACE_TEST_PORT_BASE", DEFAULT_PORT_BASE))
ONLY = os.environ.get("MILLRACE_TEST_ONLY", "")
RUNNING = os.environ.get("MILLRACE_TEST_STACK") == "running"


class Start(NamedTuple):
    """The command that starts the stack, and how far it is."""

    settings: Settings
    command: subprocess.Popen[str]


STARTED = pytest.StashKey[Start]()


def settings() -> Settings:
    """Where the tests' stack lives."""
    name = ".millrace-test" if PORT_BASE == DEFAULT_PORT_BASE else f".millrace-test-{PORT_BASE}"
    return Settings(home=ROOT / name, port_base=PORT_BASE)


def begin() -> Start:
    """End what an earlier run left, and begin to start a fresh stack."""
    chosen = settings()
    launcher.down(chosen, Lines())
    shutil.rmtree(chosen.home, ignore_errors=True)
    place = {"MILLRACE_HOME": str(chosen.home), "MILLRACE_PORT_BASE": str(chosen.port_base)}
    command = [sys.executable, "-m", "stack.commands.main", "up", *(["--only", ONLY] if ONLY else [])]
    started = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | place, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return Start(chosen, started)


def wait_until_up(start: Start) -> None:
    """Return when it is up.

    Raises:
        RuntimeError: it did not come up, with the command's last words.
    """
    words, _ = start.command.communicate()
    if start.command.returncode != 0:
        raise RuntimeError(f"the stack did not come up:\n{words[-4000:]}")
    print(f"\n{words.strip().splitlines()[-1]}", file=sys.stderr)


def end(start: Start) -> None:
    """End the stack, or what there is of it."""
    if start.command.poll() is None:
        start.command.terminate()
        start.command.communicate()
    launcher.down(start.settings, Lines())
