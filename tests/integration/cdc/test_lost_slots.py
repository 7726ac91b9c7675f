"""A slot that is lost, or that keeps more log than it may: it is made anew under a new epoch, and the copies end equal. Held against
the source by plain queries, not by `verify`."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from clickhouse_connect.driver.client import Client

from bench.own_postgres import own_postgres
from bench.source import ThrowAwaySource, throw_away_source
from cdc import source_database
from cdc.connect.client import ConnectClient
from cdc.settings import settings
from cdc.slots import create_slot, drop_slot, find_slot
from stack import parts
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, run
from tests.integration.cdc.test_epochs import settled_in
from tests.integration.cdc.test_promotion import TABLE, copied, rows
from tests.integration.cdc.waiting import eventually

UNSEEN = ("UPDATE t SET v = 'not in the log that is read' WHERE id <= 10", "DELETE FROM t WHERE id = 50")
FILL = "SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000))"


@contextmanager
def unread(source: ThrowAwaySource) -> Iterator[None]:
    """Nobody reads the slot: the connector is stopped, and stays so unless the keeper lets it go on."""
    with closing(ConnectClient(settings().connect_url)) as connect:
        connect.stop(source.name)
        yield


def captured(source: ThrowAwaySource) -> None:
    """Capture the table with fifty rows."""
    run(source, "INSERT INTO t SELECT n, 'first' FROM generate_series(1, 50) n")
    source.apply()
    run(source, "UPDATE t SET v = 'seen' WHERE id = 20")


@pytest.mark.long
def test_a_slot_that_the_server_let_go_of_is_made_anew(
    engine: None, stack: Stack, target: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """max_slot_wal_keep_size: the slot is there still, and can be read no more."""
    keeps = ("max_slot_wal_keep_size=3MB", "min_wal_size=2MB", "max_wal_size=2MB")
    with own_postgres(stack.settings.home / "own-server", stack.settings.port_base + 60, settings=keeps) as server:
        monkeypatch.setenv("POSTGRES_ADMIN_DSN", server.dsn)
        with throw_away_source("invalidated", TABLE) as source:
            captured(source)
            with unread(source):
                run(source, *UNSEEN, *[FILL] * 8, "CHECKPOINT")
                eventually(lambda: settled_in(source, 2), "a new slot under a new epoch")
            run(source, "UPDATE t SET v = 'after' WHERE id = 5")
            eventually(lambda: copied(target, source) == rows(source), "the copy is equal")
            with source_database.connect(source.file) as session:
                slot = find_slot(session, source.file.slot)
            assert slot is not None and slot.lost is None


def test_a_slot_beyond_the_limit_of_its_source_file_is_given_up_and_the_source_copied_anew(
    make_source: MakeSource, target: Client
) -> None:
    source = make_source(TABLE, rest="slot_limit: 20MB")
    captured(source)
    with unread(source):
        run(source, *UNSEEN, *[FILL] * 22)
        eventually(lambda: settled_in(source, 2), "a new slot under a new epoch")
    run(source, "UPDATE t SET v = 'after' WHERE id = 5")
    eventually(lambda: copied(target, source) == rows(source), "the copy is equal")
    with source_database.connect(source.file) as session:
        slot = find_slot(session, source.file.slot)
    assert slot is not None and slot.retained < 20 << 20


def test_a_slot_is_given_up_also_while_its_reader_does_not_let_go(make_source: MakeSource) -> None:
    source = make_source(TABLE)
    programs = parts.postgres().path
    command = (programs / "pg_recvlogical", "-d", source.dsn, "--slot", source.file.slot, "--start", "-f", "-", "-n")
    options = ("-o", "proto_version=1", "-o", "publication_names=none")
    with source_database.connect(source.file) as session:
        create_slot(session, source.file)
        with subprocess.Popen((*command, *options), stdout=subprocess.DEVNULL, env=dict(os.environ)) as reader:
            eventually(lambda: read(session, source), "somebody reads the slot")
            drop_slot(session, source.file, by_force=True)
            assert find_slot(session, source.file.slot) is None
            reader.kill()


def read(session: psycopg.Connection[tuple[object, ...]], source: ThrowAwaySource) -> bool:
    """Whether somebody reads the slot now."""
    row = session.execute("SELECT active FROM pg_replication_slots WHERE slot_name = %s", [source.file.slot]).fetchone()
    return row is not None and bool(row[0])
