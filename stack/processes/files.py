"""What the processes' preparation shares: folders with the right owner, tools run to completion."""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from stack.environment import INHERITED, selected
from stack.errors import CheckFailed, StartFailed
from stack.privileges import server_account
from stack.process import Folder
from stack.settings import ROOT, Settings


def own_folder(path: Path) -> Path:
    """Make a folder that only the servers' account can enter."""
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o700)
    os.chown(path, *server_account().owner)
    return path


def check_folder(folder: Folder) -> None:
    """Raise CheckFailed when the folder is there but only half written."""
    if folder.damaged:
        raise CheckFailed(
            f"{folder.path} is half written ({folder.proof} is missing): restore it, "
            f"or remove it to begin with empty data: rm -r {folder.path}"
        )


def run_tool(name: str, command: tuple[str, ...], *, environment: Mapping[str, str] | None = None) -> None:
    """Run a program to its end; StartFailed with its last words when it fails."""
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    if done.returncode != 0:
        words = " ".join((done.stderr or done.stdout).split())[-400:]
        raise StartFailed(f"{name} failed with status {done.returncode}: {words}")


def run_module(
    settings: Settings,
    variables: Mapping[str, str],
    job: str,
    module: str,
    *arguments: str,
    names: Iterable[str],
    python: str = sys.executable,
    more: Mapping[str, str] | None = None,
) -> None:
    """Run a Python module of the checkout to its end, with the named variables and more; its output goes to the job's log."""
    log = settings.logs / f"{job}.log"
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment |= {**selected(variables, names), **(more or {})}
    with log.open("w") as output:
        done = subprocess.run(
            [python, "-m", module, *arguments],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        words = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        raise StartFailed(f"{job} failed (see {log}): {words[-1] if words else f'status {done.returncode}'}")
