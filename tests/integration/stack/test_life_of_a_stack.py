"""Up, up again, crashes, a dead supervisor, down: what runs afterwards is what should."""

import os
import signal
import socket
import time
from collections.abc import Callable

import psutil
import psycopg

from stack.ports import OFFSETS
from tests.integration.stack.small import SmallStack


def wait_until_back(stack: SmallStack, name: str, dead: int, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not (stack.status()["healthy"] and stack.pids()[name] != dead):
        assert time.monotonic() < deadline, f"{name} is not back: {stack.status()}"


def test_a_second_up_changes_nothing(small: SmallStack) -> None:
    before = small.pids()
    assert small.up("postgres,redis").startswith("already up")
    assert small.pids() == before


def test_status_says_what_each_process_takes(small: SmallStack) -> None:
    status = small.status()
    assert set(status) == {"processes", "rss_mb", "healthy"}
    assert status["healthy"] is True
    for process in status["processes"]:
        assert set(process) == {"name", "pid", "state", "rss_mb", "uptime_s"}
        assert psutil.pid_exists(process["pid"])
        assert 1 < process["rss_mb"] < 500
    assert {process["name"] for process in status["processes"]} == {"postgres", "redis"}
    assert sum(process["rss_mb"] for process in status["processes"]) < status["rss_mb"]


def test_a_killed_process_is_restarted(small: SmallStack) -> None:
    for name in ("redis", "postgres"):
        pid = small.pids()[name]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until_back(small, name, pid)


def test_up_heals_after_the_supervisor_was_killed_and_data_is_kept(small: SmallStack) -> None:
    dsn = small.env()["postgres"]["orders"]
    with psycopg.connect(dsn) as connection:
        connection.execute("CREATE TABLE kept (answer int)")
        connection.execute("INSERT INTO kept VALUES (42)")
    before = small.pids()
    supervisor = small.supervisor()
    supervisor.kill()
    psutil.wait_procs([supervisor], timeout=10)
    assert small.status()["healthy"] is False
    said = small.up("postgres,redis")
    assert "ended what a dead supervisor had left: postgres, redis" in said
    assert small.status()["healthy"] is True
    assert not any(pid is not None and psutil.pid_exists(pid) for pid in before.values())
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_what_was_started_later_joins_what_runs(small: SmallStack) -> None:
    before = small.pids()
    small.up("clickhouse")
    after = small.pids()
    assert set(after) == {"postgres", "redis", "clickhouse"}
    assert {name: after[name] for name in before} == before


def test_down_leaves_no_process_and_no_open_port(small: SmallStack) -> None:
    pids = [pid for pid in small.pids().values() if pid is not None]
    families = [psutil.Process(pid).children(recursive=True) for pid in pids]
    assert "3 processes stopped" in small.down()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not any(child.is_running() for family in families for child in family)
    for offset in OFFSETS.values():
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", small.port_base + offset)) != 0
    assert small.status() == {"processes": [], "rss_mb": 0.0, "healthy": False}
    assert small.run("status").returncode == 1
    assert small.down().strip() == "down"


def test_down_also_ends_what_has_no_supervisor(small: SmallStack) -> None:
    small.up("redis")
    small.supervisor().kill()
    assert "ended leftovers: redis" in small.down()


def test_data_outlives_a_change_of_ports(small: SmallStack) -> None:
    small.port_base += 500
    small.up("postgres-replica")
    with psycopg.connect(small.env()["postgres"]["replica"]["orders"]) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    small.port_base -= 500
    refused = small.run("up", "--only", "redis")
    assert refused.returncode == 2
    assert f"runs with MILLRACE_PORT_BASE={small.port_base + 500}: `millrace down` first" in refused.stderr
    small.port_base += 500
    small.down()


def test_two_stacks_run_side_by_side(new_stack: Callable[[], SmallStack]) -> None:
    one, other = new_stack(), new_stack()
    for stack in (one, other):
        stack.up("redis")
    assert one.env()["redis"] != other.env()["redis"]
    assert set(one.pids().values()).isdisjoint(other.pids().values())
    one.down()
    assert other.status()["healthy"] is True
    other.down()
