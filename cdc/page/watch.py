"""Looks while somebody looks: one look serves every open page, and when no page is open nothing is asked."""

import threading
import time
from collections.abc import Callable, Iterable

from cdc.page.look import View

EVERY = 2.0
_INTEREST = 10.0
"""How long after the last question of a page looking goes on, in seconds."""


class Watch(threading.Thread):
    """Calls ``look`` every two seconds as long as `view` is asked for. Requests never wait for a part that is away, but for the
    first look. ``ended`` is called when it looks no more."""

    def __init__(self, look: Callable[[], Iterable[View]], ended: Callable[[], None]) -> None:
        super().__init__(daemon=True, name="watch")
        self._look = look
        self._ended = ended
        self._view: View | None = None
        self._asked = 0.0
        self._wanted = 0.0
        self._changed = threading.Condition()
        self._stopped = False

    def stop(self) -> None:
        """End soon: after the look in hand."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def view(self, newer_than: float = 0.0, patience: float = 5.0) -> View | None:
        """The last look; waits for one when there is none that is young, at most ``patience`` seconds.

        Args:
            newer_than: as of which moment (seconds since 1970) it must be, for what was changed then to be seen.
            patience: how long to wait for it; then the older one is given, or None.
        """
        with self._changed:
            now = time.time()
            if now - self._asked > _INTEREST:
                newer_than = max(newer_than, now - _INTEREST)
            self._asked = now
            self._wanted = max(self._wanted, newer_than)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._stopped or self._is_newer(newer_than), patience)
            return self._view

    def _is_newer(self, than: float) -> bool:
        return self._view is not None and self._view.whole_at >= than and self._view.whole_at > 0

    def run(self) -> None:
        """Look until `stop`."""
        try:
            while self._is_wanted():
                self._look_once()
        finally:
            self._ended()  # also after a fault of ours: a page that looks no more would call well what is not

    def _is_wanted(self) -> bool:
        """Wait until somebody looks; false when it is to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or time.time() - self._asked < _INTEREST)
            return not self._stopped

    def _look_once(self) -> None:
        began = time.monotonic()
        for view in self._look():
            with self._changed:
                self._view = view
                self._changed.notify_all()
        with self._changed:
            pause = max(EVERY - (time.monotonic() - began), 0.0)
            self._changed.wait_for(lambda: self._stopped or not self._is_newer(self._wanted), pause)
