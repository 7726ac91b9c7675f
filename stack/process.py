"""What a process of the stack is: one typed description, from which everything else is derived.

The supervisor's settings, the order of start and stop, the health shown by `status` and the port checks all read
these descriptions; there is no second place that knows a process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stack.parts import Part

HealthCheck = Callable[[], None]
"""Returns when the process does its work, raises stack.health.Unhealthy saying what is wrong otherwise."""


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Process:
    """A long-running process that the supervisor keeps alive."""

    name: str
    command: tuple[str, ...]
    health: HealthCheck
    ports: tuple[int, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    """Processes and jobs that must be ready before this one starts."""
    then: tuple[str, ...] = ()
    """Jobs that belong to this process: they run whenever it is started, whoever asked for it."""
    parts: tuple[Part, ...] = ()
    check_data: Callable[[], None] | None = None
    """Raises CheckFailed when its data folder is half written; None where none can be."""
    prepare: Callable[[], None] = _nothing
    """Writes settings and makes the data folder; called before each start, when everything in `needs` is ready."""
    stop_signal: str = "TERM"
    signal_group: bool = True
    """Whether the stop signal goes to its children too; not where the parent winds them up itself."""
    stop_seconds: int = 15
    """Seconds until the whole process group is killed."""
    start_seconds: int = 120
    """Seconds until a start counts as failed; generous, for machines with two busy cores."""
    addition: str = ""
    """What `up --with` calls it; empty for what every stack has."""


@dataclass(frozen=True)
class Job:
    """A one-time step between processes, repeatable without harm."""

    name: str
    run: Callable[[], None]
    needs: tuple[str, ...] = ()
    fingerprint: Callable[[], str] = str
    """Changes when the step has to be run again although nothing was started."""
    each_start: bool = True
    """Whether it is run again whenever what it needs was started, or only when its fingerprint changes."""


Node = Process | Job


@dataclass(frozen=True)
class Folder:
    """A data folder that is made under a temporary name and renamed when complete, so that it is never half there."""

    path: Path
    proof: str
    """A file inside that only a complete folder has."""

    @property
    def building(self) -> Path:
        """Where it is made."""
        return self.path.with_name(self.path.name + ".new")

    @property
    def complete(self) -> bool:
        """Whether it can be used."""
        return (self.path / self.proof).exists()

    @property
    def damaged(self) -> bool:
        """Whether it is there, not empty and not usable."""
        return self.path.is_dir() and any(self.path.iterdir()) and not self.complete
