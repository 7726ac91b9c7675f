"""Trees of four levels, changed at random at every level while owners are killed: every document equals one built from nothing."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from elasticsearch import helpers

from cdc import documents
from cdc.documents import index
from cdc.documents.reading import document_id
from cdc.errors import ConfigurationError
from cdc.kafka import Kafka
from cdc.settings import settings
from cdc.sinks.positions import DOCUMENTS_GROUP
from cdc.verify import verify_documents
from tests.integration.cdc.conftest import MakeSource, make_source, own_state, until
from tests.integration.documents import library

__all__ = ["make_source", "own_state"]
ROOT = Path(__file__).resolve().parents[3]


class Members:
    """Two processes `python -m cdc.documents` with the settings of this test; all end with the block."""

    def __init__(self) -> None:
        self._processes = [self._started() for _ in range(2)]
        self.killed = 0

    def __enter__(self) -> "Members":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            self._end(process)

    def kill_one(self) -> None:
        """End one by SIGKILL, in turn, and start another in its place."""
        turn = self.killed % 2
        self._end(self._processes[turn])
        self._processes[turn] = self._started()
        self.killed += 1

    def _started(self) -> subprocess.Popen[bytes]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        command = [sys.executable, "-m", "cdc.documents"]
        return subprocess.Popen(command, cwd=ROOT, env=os.environ | {"HEALTH_PORT": port})

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait(30)


def changed_at_random(make: MakeSource, seconds: float, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    source = make(library.TABLES, library.DOCUMENTS)
    with psycopg.connect(source.dsn, autocommit=True) as database, closing(Kafka(settings().kafka_bootstrap)) as kafka:
        library.filled(database, chance)
        source.apply()
        with Members() as members:
            until(lambda: kafka.members(DOCUMENTS_GROUP, documents.roots_topic(source.name)) == 2, 90)
            began = time.monotonic()
            while (passed := time.monotonic() - began) < seconds:
                library.changed(database, chance)
                if members.killed < kills and passed > (members.killed + 0.3) * seconds / kills:
                    members.kill_one()
            assert members.killed == kills
            _prove_equal(source.name, database)


def _prove_equal(name: str, database: psycopg.Connection[Any]) -> None:
    [proof] = verify_documents([name], patience=90)
    expected = library.wanted(database, document_id)
    with index.connect(settings().elasticsearch_url) as client:
        client.indices.refresh(index="library")
        found = {hit["_id"]: hit["_source"] for hit in helpers.scan(client, index="library")}
    assert found.keys() == expected.keys()
    assert {key: body for key, body in found.items() if body != expected[key]} == {}
    assert proof.equal and len(expected) > 20
    assert any(body["authors"] and body["chapters"] for body in expected.values())


def test_a_tree_that_cannot_be_kept_is_refused_before_anything_is_made(make_source: MakeSource) -> None:
    source = make_source(library.TABLES, library.DOCUMENTS)
    with (
        psycopg.connect(source.dsn, autocommit=True) as database,
        index.connect(settings().elasticsearch_url) as client,
    ):
        database.execute("ALTER TABLE writes REPLICA IDENTITY DEFAULT")
        with pytest.raises(ConfigurationError, match=r'run: ALTER TABLE "public"."writes" REPLICA IDENTITY FULL;'):
            source.apply()
        database.execute("ALTER TABLE writes REPLICA IDENTITY FULL")
        client.indices.create(index="library")
        try:
            with pytest.raises(ConfigurationError, match="the name library is in use by something else"):
                source.apply()
            assert client.indices.exists(index="library")
        finally:
            client.indices.delete(index="library")
        assert database.execute("SELECT count(*) FROM pg_publication").fetchone() == (0,)


def test_a_tree_changed_at_random_at_every_level_equals_one_built_from_nothing(
    own_state: None, make_source: MakeSource
) -> None:
    changed_at_random(make_source, seconds=12, kills=1, seed=1)


@pytest.mark.long
def test_a_tree_changed_at_random_for_five_minutes_equals_one_built_from_nothing(
    own_state: None, make_source: MakeSource
) -> None:
    changed_at_random(make_source, seconds=300, kills=15, seed=2)
