"""One build at a time into one warehouse, however the build was started.

Two dbt builds at once collide on the names of temporary tables. Runs that Dagster starts wait for each other in its queue
(`lib.pools`); a build by hand is in no queue, so this lock holds for both. It ends with its process, and holds between the
processes of one machine, which is where dbt runs here.
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
