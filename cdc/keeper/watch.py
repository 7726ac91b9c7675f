"""A thread of the keeper that looks at something again and again; a fault in one thing is logged and does not stop the others."""

import logging
import threading
from abc import abstractmethod
from collections.abc import Callable, Collection

import psycopg
from clickhouse_connect.driver.exceptions import ClickHouseError

from cdc.clickhouse import first_line
from cdc.errors import CdcError

log = logging.getLogger("millrace.keeper")


class Watch(threading.Thread):
    """Takes a turn every so many seconds until `stop`.

    ``problems`` says what could not be done the last time, by its name; a reason is logged when it is another than before.
    ``ended`` is called when it looks no more.
    """

    def __init__(self, name: str, every: float, ended: Callable[[], None]) -> None:
        super().__init__(daemon=True, name=name)
        self.problems: dict[str, str] = {}
        self._every, self._ended = every, ended
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End soon: after what is in hand."""
        self._stopping.set()

    def run(self) -> None:
        """Look again and again; a part that is away is asked again at the next turn."""
        try:
            while not self._stopping.is_set():
                self.turn()
                self._stopping.wait(self._every)
        finally:
            self._ended()  # also after a fault of ours: the process then ends, and its next life goes on

    @abstractmethod
    def turn(self) -> None:
        """Look once; what fails is noted."""

    def attempt(self, name: str, duty: Callable[[], object]) -> None:
        """Do one thing, and note that it could or could not be done."""
        try:
            duty()
            self.problems.pop(name, None)
        except (CdcError, psycopg.Error, ClickHouseError) as error:
            reason = first_line(error) if isinstance(error, ClickHouseError) else " ".join(str(error).split())
            if self.problems.get(name) != reason:
                log.warning("%s: %s", name, reason)
            self.problems[name] = reason

    def forget_others(self, sources: Collection[str]) -> None:
        """Forget what was noted of other sources: problems are named `<what> of <source>`."""
        for name in [*self.problems]:
            _, of, source = name.partition(" of ")
            if of and source not in sources:
                self.problems.pop(name, None)
