"""Waiting for what has no notification."""

import time
from collections.abc import Callable

from cdc.errors import TransientError

_POLL = 0.05


def wait_until(holds: Callable[[], bool], patience: float, reason: Callable[[], str]) -> None:
    """Return when it holds.

    Raises:
        TransientError: with the reason, after ``patience`` seconds.
    """
    deadline = time.monotonic() + patience
    while not holds():
        if time.monotonic() > deadline:
            raise TransientError(reason())
        time.sleep(_POLL)
