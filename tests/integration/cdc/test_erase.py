"""Erasing a key: nothing of what it was stays in a copy, nothing of it comes back, and what its source does next is taken."""

import json
import secrets
from contextlib import closing
from typing import Any

import psycopg
import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from elasticsearch import Elasticsearch
from redis import Redis
from typer.testing import CliRunner

from bench.source import ThrowAwaySource
from cdc import state as engine_state
from cdc.commands import app
from cdc.erase import Erased, erase
from cdc.kafka import Kafka
from cdc.settings import settings
from cdc.verify import verify_documents, verify_tables
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, captured, run
from tests.integration.cdc.test_columns import values
from tests.integration.cdc.test_faults import letters, proof
from tests.integration.cdc.topics import messages
from tests.integration.cdc.waiting import eventually

DOCUMENTS = """
documents:
  - index: erased
    nodes:
      table: t
      columns: [id, email]
      children: [{table: child, columns: [id, note], relationship: {type: one_to_many, variant: object}}]
    mapping:
      id: {type: integer}
      email: {type: keyword}
      child: {properties: {id: {type: integer}, note: {type: keyword}}}
"""
TABLES = """
CREATE TABLE t (id int PRIMARY KEY, email text, day date);
CREATE TABLE child (id int PRIMARY KEY, t int, note text);
ALTER TABLE t REPLICA IDENTITY FULL; ALTER TABLE child REPLICA IDENTITY FULL
"""
TREE = "{parent: [id], child: [t]}"


def erased(source: ThrowAwaySource, target: Client, key: str, table: str = "t") -> Erased:
    """Erase a key."""
    chosen = captured(source)
    [shape] = [shape for shape in chosen.shapes if shape.table == table]
    config = settings()
    with closing(Kafka(config.kafka_bootstrap)) as kafka, engine_state.connect(config.millrace_state_dsn) as state:
        return erase(chosen, shape, key, config, state, kafka, target)


def versions(target: Client, source: ThrowAwaySource, condition: str, table: str = "t") -> int:
    """Rows in the raw table's parts, whether a reader sees them or not."""
    [[count]] = target.query(f"SELECT count() FROM raw_{source.name}.{table} WHERE {condition}").result_rows
    return int(count)


def send_again(topic: str) -> None:
    """Have Kafka bring every change of the topic once more, as it does when an older offset is read again."""
    producer = Producer({"bootstrap.servers": settings().kafka_bootstrap, "acks": "all", "log_level": 3})
    for message in list(messages(topic)):
        producer.produce(
            topic, message.value(), message.key(), headers=message.headers(), partition=message.partition() or 0
        )
    assert producer.flush(20) == 0


def test_an_erased_row_is_gone_from_every_copy_and_does_not_come_back(make_source: MakeSource, target: Client) -> None:
    relation = "relationship: {type: one_to_many, variant: object"
    source = make_source(
        TABLES,
        DOCUMENTS.replace(relation, f"{relation}, foreign_key: {TREE}"),
        "invalidate: {public.t: 'person:{email}'}",
    )
    run(source, "INSERT INTO t VALUES (1, 'first@needle', NULL), (2, 'kept@example', NULL)")
    source.apply()
    run(
        source,
        "INSERT INTO child VALUES (10, 1, 'child@needle'), (20, 2, 'c')",
        "UPDATE t SET email = 'second@needle' WHERE id = 1",
        "UPDATE t SET email = 'third@needle', day = 'infinity' WHERE id = 1",
    )
    assert proof(source.name).parked == 1
    run(source, "DELETE FROM child WHERE t = 1", "DELETE FROM t WHERE id = 1")
    with closing(Redis.from_url(settings().redis_url)) as cache:
        cache.set("person:second@needle", b"%020dx" % 1)
        done = erased(source, target, "1")
        assert cache.get("person:second@needle") is None
    assert (done.kept, done.letters, done.documents, done.versions > 0) == (False, 1, 1, True)
    assert erased(source, target, "10", "child").versions > 0
    assert_nowhere(source, target)
    send_again(f"{source.name}.public.t")
    send_again(f"{source.name}.public.child")
    assert all(found.equal for found in verify_tables([source.name]))
    assert all(found.equal for found in verify_documents([source.name]))
    assert_nowhere(source, target)
    run(source, "INSERT INTO t VALUES (1, 'again@example', NULL)", "INSERT INTO child VALUES (10, 1, 'new')")
    assert all(found.equal for found in verify_tables([source.name]))
    assert all(found.equal for found in verify_documents([source.name]))
    assert values(target, source, "email") == ["again@example", "kept@example"]


def in_raw_tables(source: ThrowAwaySource, target: Client) -> int:
    """Versions of the erased rows that the raw tables hold."""
    return versions(target, source, "id = 1") + versions(target, source, "id = 10", "child")


def assert_nowhere(source: ThrowAwaySource, target: Client) -> None:
    """Neither raw tables nor documents nor dead letters hold anything of the erased row."""
    assert in_raw_tables(source, target) == 0
    assert [letter for letter in letters(source.name, everything=True) if "needle" in letter.body] == []
    with Elasticsearch(settings().elasticsearch_url) as search:
        search.indices.refresh(index="erased")
        assert "needle" not in str(search.search(index="erased", size=100))


def test_a_row_that_the_source_still_has_stays_as_the_source_has_it(make_source: MakeSource, target: Client) -> None:
    source = make_source(
        "CREATE TABLE t (shop int, name text, email text, PRIMARY KEY (name, shop)); ALTER TABLE t REPLICA IDENTITY FULL"
    )
    source.apply()
    run(source, "INSERT INTO t VALUES (1, 'a''\\\\b', 'needle'), (2, 'a''\\\\b', 'other')")
    assert proof(source.name).equal
    run(source, "UPDATE t SET email = NULL WHERE shop = 1")
    assert proof(source.name).equal
    done = erased(source, target, json.dumps(["a'\\\\b", 1]))
    assert (done.kept, done.versions >= 1) == (True, True)
    assert (versions(target, source, "shop = 1"), versions(target, source, "shop = 2")) == (1, 1)
    send_again(f"{source.name}.public.t")
    assert proof(source.name).equal
    assert versions(target, source, "email = 'needle'") == 0


def test_no_topic_of_a_source_holds_a_change_for_longer_than_a_week(make_source: MakeSource) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, d date)")
    source.apply()
    run(source, "INSERT INTO t VALUES (1, 'infinity')")
    assert proof(source.name).parked == 1
    admin = AdminClient({"bootstrap.servers": settings().kafka_bootstrap})
    topics = [f"{source.name}.public.t", f"{source.name}.message", "deadletters.clickhouse"]
    answers = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic) for topic in topics])
    for topic, answer in answers.items():
        found = answer.result(10)
        longest = int(found["retention.ms"].value) + int(found["segment.ms"].value)
        assert longest <= 7 * 24 * 3_600_000, topic


def test_what_cannot_be_erased_is_refused_with_one_line(make_source: MakeSource) -> None:
    source = make_source(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE two (a int, b int, PRIMARY KEY (a, b)); CREATE TABLE log (v int)",
        rest="columns: {public.log: {append_only: true}}",
    )
    source.apply()
    refused = [
        (source.name, "t", "x", "this is no key (id) of public.t"),
        (source.name, "two", "1", "the key of public.two is (a, b): give a JSON array of 2 values"),
        (source.name, "log", "1", "public.log has no key to erase by"),
        (source.name, "gone", "1", "no captured table is called gone"),
        ("nowhere", "t", "1", "no source nowhere was applied"),
    ]
    for name, table, key, says in refused:
        answer = CliRunner().invoke(app, ["erase", name, table, key])
        assert (answer.exit_code, says in answer.stderr, answer.stderr.count("\n")) == (2, True, 1), answer.stderr


@pytest.mark.long
def test_the_files_of_an_erased_row_are_gone_once_the_keeper_has_looked(
    make_source: MakeSource, target: Client, stack: Stack
) -> None:
    needle = secrets.token_hex(40)
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text)")
    run(source, f"INSERT INTO t VALUES (1, '{needle}'), (2, 'other')")
    source.apply()
    store = stack.settings.home / "clickhouse"

    def held() -> bool:
        files = [path for path in store.rglob("*.bin") if path.is_file()]
        return any(needle.encode() in path.read_bytes() for path in files)

    assert held()
    run(source, "DELETE FROM t WHERE id = 1")
    erased(source, target, "1")
    with psycopg.connect(settings().millrace_state_dsn, autocommit=True) as state:
        eventually(lambda: settled(state, source.name), "the keeper has settled the erasure")
    assert not held()


def settled(state: psycopg.Connection[Any], source: str) -> bool:
    """Whether every erasure of the source is settled."""
    row = state.execute(
        "SELECT count(*) FILTER (WHERE settled_at IS NULL) = 0 FROM millrace.erasures WHERE source = %s", [source]
    ).fetchone()
    return row is not None and bool(row[0])
