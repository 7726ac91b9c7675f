"""Waiting for what has no notification."""

import time
from collections.abc import Callable

PATIENCE = 90.0


def eventually(holds: Callable[[], bool], what: str) -> None:
    """Return when it holds; fails the test after 90 seconds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.2)  # polls what has no notification
