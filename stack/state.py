"""What one stack remembers between commands: which processes are wanted, and which one-time jobs are done.

Also the lock that keeps two `up` or `down` of one state folder apart.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from stack.errors import StackError
from stack.secrets import write_private


@dataclass
class State:
    """Kept in state.json of the state folder."""

    wanted: list[str] = field(default_factory=list)
    """Processes that `up` was asked for and `down` has not ended."""
    done: dict[str, str] = field(default_factory=dict)
    """Fingerprint of each job at its last success."""

    @classmethod
    def load(cls, home: Path) -> "State":
        """The remembered state; empty where there is none. Raises StackError when the file is damaged."""
        path = home / "state.json"
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, TypeError) as error:
            raise StackError(f"{path} cannot be read ({error}): remove it and run `millrace up`") from error

    def save(self, home: Path) -> None:
        """Write it, whole or not at all."""
        write_private(home / "state.json", json.dumps(asdict(self), indent=1))


@contextmanager
def exclusive(home: Path) -> Iterator[None]:
    """Hold the state folder's lock; waits for another command of the same folder to end."""
    with (home / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
