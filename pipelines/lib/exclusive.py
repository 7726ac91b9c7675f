"""One build at a time into one warehouse, however the build was started.

Two dbt builds at once collide on the names of temporary tables. A Dagster pool would keep them apart too, but a process
that is killed keeps its slot there, and every later build waits for it; this lock ends with its process. It holds
between the processes of one machine, which is where dbt runs here.
"""

import fcntl
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def exclusive(folder: Path, name: str, waiting: Callable[[], object]) -> Iterator[None]:
    """Hold the lock `name`, kept in `folder`; `waiting` is called once if somebody else has it."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    with (folder / f"build-{digest}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
