"""What the keeper does to whole copies: copies new tables, makes copies anew, and mends those that were asked to be mended.

It may take an hour, so each source has a thread of its own meanwhile: a source that does not answer, or a table of a billion rows,
keeps no other from being followed.
"""

import threading
from collections.abc import Callable
from functools import partial

from cdc import clickhouse
from cdc import state as engine_state
from cdc.keeper.mending import mend_asked
from cdc.keeper.reshaping import reshape_asked
from cdc.keeper.watch import Watch
from cdc.settings import CdcSettings

_EVERY = 2.0
_AT_ONCE = 4


class Copies(Watch):
    """Looks every two seconds which sources have copies to make anew or to mend, and works on up to four of them at once."""

    def __init__(self, config: CdcSettings, ended: Callable[[], None]) -> None:
        super().__init__("copies", _EVERY, ended)
        self._config = config
        self._at_work: dict[str, threading.Thread] = {}

    def turn(self) -> None:
        """Begin on the sources that wait."""
        self.attempt("copies", self._begin)

    def _begin(self) -> None:
        self._at_work = {source: thread for source, thread in self._at_work.items() if thread.is_alive()}
        with engine_state.connect(self._config.millrace_state_dsn) as state:
            tables = engine_state.captured_tables(state)
        waiting = {table.shape.source for table in tables if table.reshaping or (table.mend and not table.parked)}
        self.forget_others(waiting)  # it was taken out, or somebody else has mended it
        for source in sorted(waiting - self._at_work.keys())[: _AT_ONCE - len(self._at_work)]:
            thread = threading.Thread(target=self._work, args=(source,), name=f"copies of {source}", daemon=True)
            self._at_work[source] = thread
            thread.start()

    def _work(self, source: str) -> None:
        try:
            self.attempt(f"copies of {source}", partial(self._make_and_mend, source))
        except BaseException:
            self._ended()  # a fault of ours: the process ends, and its next life goes on
            raise

    def _make_and_mend(self, source: str) -> None:
        with engine_state.connect(self._config.millrace_state_dsn) as state:
            target = clickhouse.engine_client(self._config)
            self.attempt(f"reshaping of {source}", partial(reshape_asked, source, state, target))
            self.attempt(f"mending of {source}", partial(mend_asked, source, state, target))
