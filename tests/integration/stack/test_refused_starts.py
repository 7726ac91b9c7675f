"""What `up` refuses, in one line with the remedy, exit status 2, and nothing started."""

import socket
from collections.abc import Callable

import pytest

from stack.orphans import marked_processes
from stack.ports import OFFSETS
from tests.integration.stack.small import SmallStack


@pytest.fixture
def fresh(new_stack: Callable[[], SmallStack]) -> SmallStack:
    return new_stack()


def refusal(stack: SmallStack, *arguments: str) -> str:
    done = stack.run(*arguments)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert marked_processes(stack.home) == {}
    return lines[0]


def test_a_port_that_somebody_else_has(fresh: SmallStack) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", fresh.port_base + OFFSETS["redis"]))
        holder.listen()
        line = refusal(fresh, "up", "--only", "redis")
    assert f"port {fresh.port_base + 2}, wanted by redis, is taken by" in line
    assert "MILLRACE_PORT_BASE" in line


def test_a_data_folder_that_is_half_written(fresh: SmallStack) -> None:
    data = fresh.home / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "base").mkdir()
    line = refusal(fresh, "up", "--only", "postgres")
    assert f"{data} is half written (PG_VERSION is missing)" in line
    assert f"rm -r {data}" in line


def test_an_interrupted_making_of_a_data_folder_is_begun_anew(fresh: SmallStack) -> None:
    unfinished = fresh.home / "postgres" / "data.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").touch()
    fresh.up("postgres")
    assert not unfinished.exists()
    fresh.down()


def test_a_home_that_cannot_be_written(fresh: SmallStack) -> None:
    fresh.home.parent.mkdir(exist_ok=True)
    fresh.home.touch()
    assert "is not a folder: remove it or set MILLRACE_HOME" in refusal(fresh, "up")


def test_an_unknown_process(fresh: SmallStack) -> None:
    line = refusal(fresh, "up", "--only", "postgress")
    assert line.startswith("millrace: no process is called 'postgress'; there are: postgres, postgres-replica, redis")


def test_a_setting_that_is_no_number(fresh: SmallStack) -> None:
    fresh.more["MILLRACE_PORT_BASE"] = "many"
    for command in ("up", "down", "status", "env"):
        assert refusal(fresh, command).startswith("millrace: MILLRACE_PORT_BASE: ")


def test_a_damaged_password_file(fresh: SmallStack) -> None:
    fresh.home.mkdir(parents=True)
    (fresh.home / "secrets.json").write_text("{")
    assert "secrets.json cannot be read" in refusal(fresh, "up", "--only", "redis")


def test_addresses_of_a_stack_that_never_was(fresh: SmallStack) -> None:
    assert refusal(fresh, "env") == "millrace: there is no stack yet: run `millrace up`"


def test_the_log_of_nobody(fresh: SmallStack) -> None:
    assert "no log of 'nobody'" in refusal(fresh, "logs", "nobody")


def test_a_process_that_cannot_start_names_its_log_and_last_words(fresh: SmallStack) -> None:
    (fresh.home / "redis" / "data" / "appendonlydir").mkdir(parents=True)
    (fresh.home / "redis" / "data" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    done = fresh.run("up", "--only", "redis")
    assert done.returncode == 2
    assert "redis: it exits as soon as it is started" in done.stderr
    assert str(fresh.home / "logs" / "redis.log") in done.stderr
    fresh.down()
