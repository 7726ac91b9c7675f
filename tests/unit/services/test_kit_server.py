"""The server around an app: what it does when it is told to stop, and with a head that has no end."""

import itertools
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

SLOW = """
import asyncio, signal, sys
from fastapi import APIRouter
from services.kit import server
from services.kit.http import application, serve

server.NOTICE_S = 3  # long enough to be seen on a machine that is busy with other things
router = APIRouter()
finish = asyncio.Event()
begun = asyncio.Event()

@router.get("/slow")
async def slow() -> str:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, finish.set)
    begun.set()
    await finish.wait()
    return "done"

@router.get("/begun")
async def has_begun() -> bool:
    await begun.wait()
    return True

serve("test", application("test", router), int(sys.argv[1]))
"""


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
def server(port: int) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", SLOW, str(port)], stdout=subprocess.DEVNULL) as process:
        eventually(lambda: status(port, "/livez") == 200)
        yield process
        process.kill()


def status(port: int, path: str) -> int:
    """The answer's status, 0 when nobody takes the request."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False, verify=False).status_code
    except httpx.TransportError:
        return 0


def test_a_request_in_flight_is_finished_and_no_new_one_taken(server: subprocess.Popen[bytes], port: int) -> None:
    answers: list[httpx.Response] = []
    slow = threading.Thread(
        target=lambda: answers.append(httpx.get(f"http://127.0.0.1:{port}/slow", timeout=30, trust_env=False))
    )
    slow.start()
    assert status(port, "/begun") == 200
    server.send_signal(signal.SIGTERM)
    eventually(lambda: status(port, "/readyz") == 503)
    assert not answers
    eventually(lambda: status(port, "/livez") == 0)
    assert not answers
    assert server.poll() is None
    server.send_signal(signal.SIGUSR1)
    slow.join()
    assert (answers[0].status_code, answers[0].json()) == (200, "done")
    assert server.wait(timeout=10) == -signal.SIGTERM


def test_an_idle_server_ends_by_its_signal(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGINT)
    assert server.wait(timeout=10) in (0, -signal.SIGINT, 1, 130)


@pytest.mark.usefixtures("server")
def test_a_head_without_an_end_is_cut_off(port: int) -> None:
    for begin in (b"GET / HTTP/1.1\r\nx-endless: ", b"GET /"):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(begin)
            try:
                for _ in itertools.count():
                    connection.sendall(b"a" * 10_000)
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert status(port, "/livez") == 200
