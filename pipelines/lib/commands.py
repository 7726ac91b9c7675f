"""Calling `millrace` from a run: what changes the copies is done by the engine's own command line, as a person would.

A command that could not be carried out raises, of the kind that its message tells; its lines go into the run's log.
"""

import subprocess
import sys
from pathlib import Path

import dagster as dg

from pipelines.lib.manifest import PROJECT

MILLRACE = Path(sys.executable).with_name("millrace")
COULD_NOT = 2
"""Exit status of a command that was not carried out; 1 is a finding."""


class CommandFailed(RuntimeError):
    """The command was not carried out; its own words."""


class NotTrue(RuntimeError):
    """The command was carried out, and what it had to show is not so."""


def millrace(context: dg.OpExecutionContext, *arguments: str) -> str:
    """What the command printed. Raises CommandFailed, NotTrue, or ConnectionError when a server of its was away."""
    context.log.info("millrace %s", " ".join(arguments))
    done = subprocess.run([str(MILLRACE), *arguments], cwd=PROJECT.parent, capture_output=True, text=True, check=False)
    for line in (done.stderr + done.stdout).splitlines():
        context.log.info(line)
    if done.returncode == 0:
        return done.stdout
    words = next((line for line in reversed((done.stdout + done.stderr).splitlines()) if line.strip()), "no words")
    if done.returncode != COULD_NOT:
        raise NotTrue(words)
    if "does not answer" in words or "went away" in words:
        raise ConnectionError(words)
    raise CommandFailed(words)
