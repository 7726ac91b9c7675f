"""A change has one version, however often it is delivered: over every kind of restart of what lies between source and topic."""

import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future, wait
from contextlib import closing

import httpx
import orjson
import psycopg
import pytest

from bench.source import ThrowAwaySource, throw_away_source
from cdc.connect.client import ConnectClient
from cdc.settings import settings
from cdc.verify import verify_tables
from cdc.version import parse_sequence
from tests.chaos.load import TABLE, load
from tests.conftest import Stack
from tests.integration.cdc.topics import messages

_WRITING = 2.0  # seconds of load before and after each restart


@pytest.mark.long
@pytest.mark.usefixtures("engine")
def test_a_replayed_change_carries_the_version_it_had(stack: Stack) -> None:
    with throw_away_source("stable", TABLE) as source:
        source.apply()
        _restart_everything(stack, source)
        [proof] = verify_tables([source.name], patience=240)
        assert (proof.equal, proof.differing_keys) == (True, ())
        versions: dict[tuple[bytes, str, int], set[int]] = defaultdict(set)
        delivered = 0
        for message in messages(f"{source.name}.public.t"):
            event = orjson.loads(message.value() or b"")
            change = (message.key() or b"", event["op"], event["source"]["lsn"])
            versions[change].add(parse_sequence(event["source"]["sequence"]))
            delivered += 1
    unstable = {change: found for change, found in versions.items() if len(found) > 1}
    assert not unstable
    assert delivered > len(versions), "nothing was delivered twice: the restarts have shown nothing"


def _restart_everything(stack: Stack, source: ThrowAwaySource) -> None:
    restarts: list[Callable[[], object]] = [
        lambda: stack.kill("connect"),
        lambda: _end_walsender(source),
        lambda: _restart_connector(source.name),
        lambda: stack.kill("kafka"),
        lambda: stack.kill("connect"),
        lambda: stack.kill("postgres"),
    ]
    with load(source.dsn) as writer:
        for restart in restarts:
            _write_for_a_while(writer)
            restart()
            stack.wait_until_healthy()
        _write_for_a_while(writer)


def _write_for_a_while(writer: "Future[None]") -> None:
    assert not wait([writer], timeout=_WRITING).done, writer.exception()


def _end_walsender(source: ThrowAwaySource) -> None:
    with psycopg.connect(source.dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = %s AND active",
            [source.file.slot],
        )


def _restart_connector(name: str) -> None:
    answer = httpx.post(f"{settings().connect_url}/connectors/{name}/restart?includeTasks=true", timeout=60)
    assert answer.is_success, answer.text
    with closing(ConnectClient(settings().connect_url)) as connect:
        deadline = time.monotonic() + 60
        while not connect.running(name):
            assert time.monotonic() < deadline
            time.sleep(0.1)  # Connect offers no notification
