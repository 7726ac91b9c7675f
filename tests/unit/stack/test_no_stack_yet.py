"""A command that works on a stack says in one line that there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack.commands.main import ON_A_STACK
from stack.settings import ROOT


def millrace(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command, where no stack was ever started."""
    bare = {name: value for name, value in os.environ.items() if not name.endswith(("_URL", "_DSN"))}
    command = [sys.executable, "-m", "stack.commands.main", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=bare | {"MILLRACE_HOME": str(home)}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("arguments", [("bench", "latency"), ("chaos",), ("chaos-orders",)], ids=" ".join)
def test_it_is_said_in_one_line(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert arguments[0] in ON_A_STACK
    told = millrace(tmp_path, *arguments)
    assert (told.returncode, told.stdout, told.stderr) == (
        2,
        "",
        "millrace: there is no stack yet: run `millrace up`\n",
    )


def test_help_needs_none(tmp_path: Path) -> None:
    assert millrace(tmp_path, "bench", "--help").returncode == 0
