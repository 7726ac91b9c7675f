"""A shop of its own for the document tests: database, connector, index and consumer group, apart from the stack's."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import yaml
from elasticsearch import Elasticsearch
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cdc import dead_letters, documents, source_database
from cdc import state as engine_state
from cdc.catalog import read_shapes
from cdc.connect.connector import connector_config
from cdc.dead_letters import DeadLetter
from cdc.documents import contents, index
from cdc.documents.reading import Reader
from cdc.documents.sink import DocumentSink
from cdc.kafka import Kafka
from cdc.settings import CdcSettings
from cdc.sinks import positions
from cdc.slots import create_slot
from cdc.source_file import SourceFile, load
from cdc.verify.passed import wait_until_passed

TABLES = """
CREATE TABLE sections (id int PRIMARY KEY, title text NOT NULL, path text[] NOT NULL DEFAULT '{Küche,Straße}');
CREATE TABLE wares (
    id uuid PRIMARY KEY, section_id int NOT NULL REFERENCES sections, name text NOT NULL,
    rank text NOT NULL DEFAULT '1', hidden text NOT NULL DEFAULT '', attributes jsonb NOT NULL DEFAULT '{}');
CREATE INDEX ON wares (section_id);
CREATE TABLE prices (
    ware_id uuid PRIMARY KEY REFERENCES wares ON DELETE CASCADE,
    amount numeric(12, 2) NOT NULL, currency char(3) NOT NULL);
CREATE TABLE stock (ware_id uuid PRIMARY KEY REFERENCES wares ON DELETE CASCADE, available int NOT NULL);
CREATE TABLE notes (id int PRIMARY KEY, ware_id uuid NOT NULL REFERENCES wares ON DELETE CASCADE, body text NOT NULL);
CREATE INDEX ON notes (ware_id);
CREATE TABLE replies (id int PRIMARY KEY, note_id int NOT NULL REFERENCES notes ON DELETE CASCADE, body text NOT NULL);
CREATE INDEX ON replies (note_id);
"""
NAMES = ("sections", "wares", "prices", "stock", "notes", "replies")
ONE, MANY = {"type": "one_to_one"}, {"type": "one_to_many"}


def tree_document(index_name: str) -> dict[str, Any]:
    """The tree: a ware with its section, price, stock, notes and their replies."""
    return {
        "index": index_name,
        "nodes": {
            "table": "wares",
            "columns": ["id", "name", "rank", "attributes"],
            "transform": {"fold": {"name": "name_folded"}},
            "children": [
                {
                    "table": "sections",
                    "label": "section",
                    "columns": ["title", "path"],
                    "transform": {"fold": {"path": "path_folded"}},
                    "relationship": ONE,
                },
                {
                    "table": "prices",
                    "label": "price",
                    "columns": ["amount", "currency"],
                    "relationship": ONE,
                    "transform": {"cents": {"amount": "amount_cents"}},
                },
                {"table": "stock", "columns": ["available"], "relationship": ONE},
                {
                    "table": "notes",
                    "columns": ["body"],
                    "relationship": MANY,
                    "children": [
                        {"table": "replies", "columns": ["body"], "relationship": MANY | {"variant": "scalar"}}
                    ],
                },
            ],
        },
        "mapping": {
            "id": {"type": "keyword"},
            "name": {"type": "text"},
            "name_folded": {"type": "text"},
            "rank": {"type": "integer"},
            "attributes": {"type": "flattened"},
            "section": {"properties": {name: {"type": "keyword"} for name in ("title", "path", "path_folded")}},
            "price": {"properties": {"amount_cents": {"type": "long"}, "currency": {"type": "keyword"}}},
            "stock": {"properties": {"available": {"type": "integer"}}},
            "notes": {"properties": {"body": {"type": "text"}, "replies": {"type": "text"}}},
        },
    }


class Shop:
    """The database and everything that turns it into documents. Tests write by `execute` and read by `document`."""

    def __init__(self, config: CdcSettings, file: SourceFile, known: engine_state.SourceState) -> None:
        self.config, self.file, self.known = config, file, known
        self.client: Elasticsearch = index.connect(config.elasticsearch_url)
        self.database = source_database.connect(file)
        self.trees = documents.load_trees(file, self.database)
        self.kafka = Kafka(config.kafka_bootstrap)

    @property
    def tree(self) -> documents.Tree:
        """The only tree."""
        return self.trees[0]

    def execute(self, statement: str, *parameters: Any) -> None:
        """One statement in a transaction of its own."""
        self.database.execute(sql.SQL(statement), parameters)

    def add(self, section: int, *, price: str = "10.00", available: int = 5, name: str = "ware") -> str:
        """A ware with price and stock, in one transaction; its id. The section is made when missing."""
        ware = str(uuid4())
        with self.database.transaction():
            self.execute("INSERT INTO sections VALUES (%s, 'section') ON CONFLICT DO NOTHING", section)
            self.execute("INSERT INTO wares (id, section_id, name) VALUES (%s, %s, %s)", ware, section, name)
            self.execute("INSERT INTO prices VALUES (%s, %s, 'EUR')", ware, price)
            self.execute("INSERT INTO stock VALUES (%s, %s)", ware, available)
        return ware

    def add_many(self, section: int, wares: int) -> list[str]:
        """So many wares with price and stock, in one transaction; their ids."""
        with self.database.transaction():
            self.execute("INSERT INTO sections VALUES (%s, 'section') ON CONFLICT DO NOTHING", section)
            rows = self.database.execute(
                "INSERT INTO wares (id, section_id, name) SELECT gen_random_uuid(), %s, 'ware' FROM generate_series(1, %s)"
                " RETURNING id::text",
                [section, wares],
            ).fetchall()
            added = [str(ware) for (ware,) in rows]
            self.execute("INSERT INTO prices SELECT unnest(%s::uuid[]), 10, 'EUR'", added)
            self.execute("INSERT INTO stock SELECT unnest(%s::uuid[]), 5", added)
        return added

    def document(self, ware: str) -> dict[str, Any] | None:
        """The ware's document, refreshed or not; None when there is none."""
        found: dict[str, Any] | None = contents.bodies(self.client, self.tree.index, [ware]).get(ware)
        return found

    def version(self, ware: str) -> int:
        """The version of the ware's document."""
        return int(self.client.get(index=self.tree.index, id=ware)["_version"])

    def reader(self) -> Reader:
        """A reader of the source; the caller closes it."""
        return Reader(self.file, self.known)

    def sink(self, group: str) -> DocumentSink:
        """A member of the consumer group, not running yet."""
        consumer = positions.consumer(self.config.kafka_bootstrap, group)
        return DocumentSink(consumer, self.client, self.config)

    def passed(self, group: str, patience: float = 60) -> Callable[[int], None]:
        """For `documents.verify`: waits until the group has written everything before a position."""

        def wait(lsn: int) -> None:
            topics = sorted(self.tree.topics)
            then = [documents.roots_topic(self.file.source)]
            wait_until_passed(self.file, self.database, self.kafka, [group], topics, lsn, then=then, patience=patience)

        return wait

    def position(self) -> int:
        """Where the source's log is being written now."""
        return source_database.insert_lsn(self.database)

    def letters(self) -> list[DeadLetter]:
        """The open dead letters of this shop."""
        with engine_state.connect(self.config.millrace_state_dsn) as state:
            return [letter for letter in dead_letters.listed(state) if letter.source == self.file.source]

    def settle(self, group: str) -> None:
        """Return when everything committed so far is written."""
        self.passed(group)(self.position())

    def proof(self, group: str) -> documents.DocumentProof:
        """The comparison of all documents with the source."""
        [proof] = documents.verify(self.file, self.known, self.trees, self.config, self.passed(group))
        return proof

    def close(self) -> None:
        """End the connections."""
        self.kafka.close()
        self.database.close()
        self.client.close()


class Running:
    """A sink at work in a thread of its own."""

    def __init__(self, sink: DocumentSink) -> None:
        self.sink = sink
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sink")
        self._work = self._pool.submit(sink.run)

    def until_it_ends(self, seconds: float) -> None:
        """Wait for the sink to end by itself; raises what it failed of."""
        self._work.result(seconds)

    def end(self) -> None:
        """Stop it; raises what it failed of."""
        self.sink.stop()
        try:
            self._work.result(60)
        finally:
            self._pool.shutdown()
            self.sink.consumer.close()


@contextmanager
def running(shop: Shop, group: str) -> Iterator[Running]:
    """A sink of the group at work within the block."""
    work = Running(shop.sink(group))
    try:
        yield work
    finally:
        work.end()


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Return once the condition holds; fail when it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.02)  # the index tells nobody when it changes


@contextmanager
def opened(env: dict[str, str], config: CdcSettings, folder: Path) -> Iterator[Shop]:
    """A shop with a running connector; all of it is removed afterwards."""
    name = f"shop{uuid4().hex[:8]}"
    admin = psycopg.connect(env["POSTGRES_ADMIN_DSN"], autocommit=True)
    cdc_dsn = env["PRODUCTS_CDC_DSN"]
    for database, owner in ((name, conninfo_to_dict(cdc_dsn)["user"]), (f"{name}_state", _state_owner(config))):
        create = sql.SQL("CREATE DATABASE {} OWNER {}")
        admin.execute(create.format(sql.Identifier(database), sql.Identifier(str(owner))))
    config = config.model_copy(
        update={
            "cdc_sources": str(folder),
            "millrace_state_dsn": make_conninfo(config.millrace_state_dsn, dbname=f"{name}_state"),
        }
    )
    dsn = make_conninfo(cdc_dsn, dbname=name)
    content = {
        "source": name,
        "dsn": dsn,
        "tables": ["public.*"],
        "targets": ["elasticsearch"],
        "documents": [tree_document(name)],
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    file = load(folder / f"{name}.yaml")
    connect = httpx.Client(base_url=config.connect_url, timeout=60)
    shop = None
    try:
        with source_database.connect(file) as source:
            source.execute(sql.SQL(TABLES))
            for table in NAMES:
                source.execute(sql.SQL("ALTER TABLE {} REPLICA IDENTITY FULL").format(sql.Identifier(table)))
            publication = sql.SQL("CREATE PUBLICATION {} FOR TABLE {}")
            tables = sql.SQL(", ").join(sql.Identifier(table) for table in NAMES)
            source.execute(publication.format(sql.Identifier(file.publication), tables))
            create_slot(source, file)
            topics = [shape.topic for shape in read_shapes(source, name)]
            with engine_state.connect(config.millrace_state_dsn) as state:
                known = engine_state.remember_source(state, file, *source_database.identity(source))
            primary = source_database.address(source)
        kafka = Kafka(config.kafka_bootstrap)
        kafka.create_topics(topics, 2, config.cdc_topic_retention_hours)
        kafka.close()
        settings = connector_config(
            file, known.epoch, config.model_copy(update={"cdc_topic_partitions": 2}), (), primary
        )
        settings |= {"database.password": str(conninfo_to_dict(cdc_dsn).get("password", ""))}
        connect.put(f"/connectors/{name}/config", json=settings).raise_for_status()
        eventually(lambda: _tasks(connect, name) == ["RUNNING"], 60)
        shop = Shop(config, file, known)
        yield shop
    finally:
        if shop is not None:
            documents.remove(shop.trees, config)
            shop.close()
        connect.delete(f"/connectors/{name}")
        connect.close()
        _drop(admin, file)


def _tasks(connect: httpx.Client, name: str) -> list[str]:
    answer = connect.get(f"/connectors/{name}/status")
    return [task["state"] for task in answer.json()["tasks"]] if answer.status_code == 200 else []


def _state_owner(config: CdcSettings) -> str:
    return str(conninfo_to_dict(config.millrace_state_dsn)["user"])


def _drop(admin: psycopg.Connection[Any], file: SourceFile) -> None:
    active = "SELECT active FROM pg_replication_slots WHERE slot_name = %s"
    eventually(lambda: admin.execute(active, [file.slot]).fetchone() in (None, (False,)), 30)
    admin.execute(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", [file.slot]
    )
    for database in (file.source, f"{file.source}_state"):
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))
    admin.close()
