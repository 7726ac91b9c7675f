"""The supervisor's poller does not go on looking at a descriptor whose number has another owner by now."""

import os
import socket

import pytest
from supervisor.poller import BasePoller, PollPoller

from stack.supervisor_daemon import ForgetfulPoller


def ready_after_reuse(poller: BasePoller) -> list[tuple[int, int]]:
    """What the kernel reports, without end, once a closed connection's number is that of a pipe that nobody reads."""
    ours, theirs = socket.socketpair()
    poller.register_readable(ours.fileno())
    poller.poll(0)
    number = ours.fileno()
    ours.close()
    theirs.close()
    reader, writer = os.pipe()
    reader_elsewhere = os.dup(reader)
    os.close(reader)
    if writer != number:
        os.dup2(writer, number)
        os.close(writer)
    os.close(reader_elsewhere)
    try:
        poller.poll(0)
        return list(poller._poller.poll(0))
    finally:
        os.close(number)


def test_a_number_that_is_used_again_is_not_polled() -> None:
    assert ready_after_reuse(ForgetfulPoller(None)) == []


def test_supervisor_still_needs_it() -> None:
    """When this fails supervisor has mended its poller: take ours out."""
    assert ready_after_reuse(PollPoller(None)) != []


@pytest.mark.parametrize("turns", [1, 3])
def test_what_is_registered_for_a_turn_is_reported(turns: int) -> None:
    poller = ForgetfulPoller(None)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")
        for _ in range(turns):
            poller.register_readable(ours.fileno())
            poller.register_writable(theirs.fileno())
            assert poller.poll(1) == ([ours.fileno()], [theirs.fileno()])
