"""ClickHouse writes its log of queries in every life: marts are built from it."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from cdc import clickhouse
from tests.integration.cdc.waiting import eventually
from tests.own_clickhouse_server import PASSWORD, OwnClickHouseServer

PORT = int(os.environ.get("MILLRACE_TEST_PORT_BASE", "24000")) + 950


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnClickHouseServer]:
    """A server that is up."""
    own = OwnClickHouseServer(tmp_path / "home", PORT)
    try:
        own.start()
        yield own
    finally:
        own.stop()


def logged(client: Client, mark: str) -> bool:
    """Whether a statement is in the log."""
    try:
        found = client.query(f"SELECT count() FROM system.query_log WHERE log_comment = '{mark}'").result_rows
    except DatabaseError:  # there is no such table yet
        return False
    return int(found[0][0]) > 0


@pytest.mark.parametrize("end", [OwnClickHouseServer.stop, OwnClickHouseServer.kill])
def test_statements_are_logged_after_a_restart_too(
    server: OwnClickHouseServer, end: Callable[[OwnClickHouseServer], None]
) -> None:
    for mark in ("first", "second"):
        client = clickhouse.connect(server.url, PASSWORD)
        client.query("SELECT 1", settings={"log_comment": mark})
        eventually(partial(logged, client, mark), "the statement is in the log")
        end(server)
        server.start()
