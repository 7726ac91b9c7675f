"""Masked columns: what they hold leaves the source masked or not at all, alike by the stream and by every copy."""

import hashlib
import hmac
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import Any

import httpx
import psycopg
import pytest
from clickhouse_connect.driver.client import Client
from elasticsearch import Elasticsearch

from bench.source import ThrowAwaySource
from cdc import shapes, source_file
from cdc import state as engine_state
from cdc.connect.client import ConnectClient
from cdc.connect.inspection import inspect
from cdc.errors import ConfigurationError
from cdc.kafka import Kafka
from cdc.repair import repair_tables
from cdc.settings import settings
from cdc.verify import verify_documents
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, run, until
from tests.integration.cdc.test_columns import values
from tests.integration.cdc.test_faults import letters, proof
from tests.integration.cdc.topics import messages
from tests.integration.cdc.waiting import eventually

MASKS = "{email: hash, name: redact, postal_code: truncate(2), born: redact, score: hash}"


def hashed(text: str) -> str:
    """The formula of docs/privacy.md."""
    return hmac.new(os.environ["CDC_MASK_KEY"].encode(), text.encode(), hashlib.sha256).hexdigest()


def test_a_masked_value_is_the_same_by_the_stream_by_a_copy_and_by_a_repair(
    make_source: MakeSource, target: Client
) -> None:
    source = make_source(
        """
        CREATE TABLE t (id int PRIMARY KEY, email text NOT NULL, name varchar(20), postal_code char(5), born date NOT NULL,
                        score int, note text);
        ALTER TABLE t REPLICA IDENTITY FULL
        """,
        rest=f"columns: {{public.t: {{mask: {MASKS}}}}}",
    )
    rows = "(1, 'Zoë@Example.com', NULL, '12345', '0044-03-15 BC', -7, 'x'), (2, '', 'Ann', '𝒳𝒴𝒵', '2000-02-29', NULL, NULL)"
    run(source, f"INSERT INTO t VALUES {rows}")
    source.apply()
    run(source, "INSERT INTO t SELECT id + 10, email, name, postal_code, born, score, note FROM t")
    run(source, "UPDATE t SET note = repeat('y', 3) WHERE id = 11", "UPDATE t SET email = 'new' WHERE id = 12")
    assert proof(source.name).equal
    assert values(target, source, "email") == [
        hashed("Zoë@Example.com"),
        hashed(""),
        hashed("Zoë@Example.com"),
        hashed("new"),
    ]
    assert values(target, source, "name") == [None, "***", None, "***"]
    assert values(target, source, "postal_code") == ["12", "𝒳𝒴"] * 2
    assert values(target, source, "born") == ["***"] * 4
    assert values(target, source, "score") == [hashed("-7"), None] * 2
    raw = f"raw_{source.name}.t"
    target.command(f"INSERT INTO {raw} SELECT * REPLACE ('altered' AS email) FROM {raw} FINAL WHERE id = 1")
    assert proof(source.name).differing == 1
    assert all(mended.proof.equal for mended in repair_tables([source.name]))
    assert values(target, source, "email")[0] == hashed("Zoë@Example.com")


def test_a_connector_that_does_not_find_the_key_sends_nothing_by_another(
    make_source: MakeSource, target: Client
) -> None:
    """Where the file lacks a line, Connect hands the reference on as if it were the value: a key that everybody knows."""
    source = make_source(
        "CREATE TABLE t (id int PRIMARY KEY, email text)", rest="columns: {public.t: {mask: {email: hash}}}"
    )
    source.apply()
    with closing(ConnectClient(settings().connect_url)) as connect:
        known = connect.config(source.name)
        assert known is not None
        connect.put(source.name, {k: v.replace(":mask_key}", ":nowhere}") for k, v in known.items()})
        eventually(lambda: connect.failures(source.name) != [], "the connector has failed")
        run(source, "INSERT INTO t VALUES (1, 'ada@example.com')")
        connect.put(source.name, known)
        assert proof(source.name).equal
    assert values(target, source, "email") == [hashed("ada@example.com")]


def test_a_masked_large_value_that_an_update_leaves_out_is_read_again_masked(
    make_source: MakeSource, target: Client
) -> None:
    source = make_source(
        "CREATE TABLE t (id int PRIMARY KEY, big text, small int); ALTER TABLE t ALTER big SET STORAGE EXTERNAL",
        rest="columns: {public.t: {mask: {big: hash}}}",
    )
    source.apply()
    run(source, "INSERT INTO t VALUES (1, repeat('secret', 2000), 1)", "UPDATE t SET small = 2")
    assert proof(source.name).equal
    assert values(target, source, "big") == [hashed("secret" * 2000)]
    assert sum(b"__millrace_absent" in (m.value() or b"") for m in messages(f"{source.name}.public.t")) == 1


def test_a_column_that_came_or_was_renamed_after_the_masks_were_declared_is_not_sent(
    make_source: MakeSource, target: Client
) -> None:
    """Debezium knows columns by name alone: under its new name a masked column would not be known as one."""
    source = make_source(
        "CREATE TABLE t (id int PRIMARY KEY, email text, n int); ALTER TABLE t REPLICA IDENTITY FULL",
        rest="columns: {public.t: {mask: {email: hash}}}",
    )
    source.apply()
    run(
        source,
        "ALTER TABLE t ADD COLUMN late text",
        "INSERT INTO t VALUES (1, 'a@b.example', 1, 'late-value'), (2, 'x', 2, 'y')",
    )
    run(source, "UPDATE t SET n = 3 WHERE id = 1", "DELETE FROM t WHERE id = 2")
    until(lambda: proof(source.name).equal)
    assert values(target, source, "late") == ["late-value"]
    run(source, "ALTER TABLE t RENAME email TO mail", "UPDATE t SET mail = 'renamed@b.example'")
    eventually(lambda: len(list(messages(f"{source.name}.public.t"))) >= 5, "the change is in the topic")
    text = b"".join((m.value() or b"") + (m.key() or b"") for m in messages(f"{source.name}.public.t"))
    assert b"@b.example" not in text
    assert b"late-value" not in text


def test_an_excluded_column_that_is_renamed_is_not_taken_for_a_new_one(make_source: MakeSource, target: Client) -> None:
    source = make_source(
        "CREATE TABLE t (id int PRIMARY KEY, secret text)", rest="columns: {public.t: {exclude: [secret]}}"
    )
    source.apply()
    run(source, "ALTER TABLE t RENAME secret TO hidden", "INSERT INTO t VALUES (1, 'hush')")
    with engine_state.connect(settings().millrace_state_dsn) as state:
        shapes.follow(source.name, state, target)
        [table] = engine_state.captured_tables(state, source.name)
    assert table.parked is not None
    assert "masks or excludes secret, which was dropped or renamed" in table.parked
    assert "hidden" not in str(target.command(f"SHOW CREATE TABLE raw_{source.name}.t"))


@pytest.mark.parametrize(
    ("columns", "rest", "says"),
    [
        ("public.t: {mask: {id: hash}}", "", r"`columns.public.t.mask`: id of the key cannot be masked"),
        ("public.t: {mask: {gone: hash}}", "", r"`columns.public.t.mask`: the column gone does not exist; there are"),
        ("public.t: {mask: {day: hash}}", "", r"`columns.public.t.mask`: column day of type date cannot be masked by hash"),
        ("public.t: {mask: {n: truncate(2)}}", "", r"column n of type numeric cannot be masked by truncate"),
        ("public.t: {mask: {v: hash}}", "invalidate: {public.t: 'v:{v}'}", r"`invalidate.public.t`: the column v is masked"),
        (
            "public.child: {mask: {parent: hash}}",
            "documents: [{index: masked, mapping: {id: {type: keyword}, child: {properties: {v: {type: keyword}}}}, nodes: "
            "{table: t, columns: [id], children: [{table: child, columns: [v], relationship: {type: one_to_many, "
            "variant: object}}]}}]",
            r"documents of index masked: table child: parent is masked",
        ),
    ],
)  # fmt: skip
def test_a_mask_that_cannot_be_is_refused_with_the_reason(
    make_source: MakeSource, columns: str, rest: str, says: str
) -> None:
    source = make_source(
        """
        CREATE TABLE t (id int PRIMARY KEY, v text, day date, n numeric(5, 2));
        ALTER TABLE t REPLICA IDENTITY FULL;
        CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES t, v text);
        ALTER TABLE child REPLICA IDENTITY FULL
        """,
        rest=f"columns: {{{columns}}}\n{rest}",
    )
    with pytest.raises(ConfigurationError, match=says):
        source.apply()


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("", "needs the secret CDC_MASK_KEY, and that is not set"),
        ("short", "CDC_MASK_KEY has 5 characters"),
        ("another key than that of the stack, which Connect has", "CDC_MASK_KEY is not the key that Connect has"),
    ],
)
def test_a_key_that_is_missing_short_or_another_is_refused(
    make_source: MakeSource, monkeypatch: pytest.MonkeyPatch, key: str, says: str
) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text)", rest="columns: {public.t: {mask: {v: hash}}}")
    source.apply()
    with monkeypatch.context() as changed:
        changed.setenv("CDC_MASK_KEY", key)
        settings.cache_clear()
        with pytest.raises(ConfigurationError, match=says) as refused:
            source.apply()
        assert not key or key not in str(refused.value)
    settings.cache_clear()


def test_another_mask_for_a_captured_column_purges_what_was_copied_and_copies_anew(
    make_source: MakeSource, target: Client
) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text, d date); CREATE TABLE other (id int PRIMARY KEY)")
    run(source, "INSERT INTO t VALUES (1, 'needle-1')")
    source.apply()
    run(
        source,
        "INSERT INTO t VALUES (2, 'needle-2', NULL), (3, 'needle-3', 'infinity')",
        "INSERT INTO other VALUES (1)",
    )
    assert proof(source.name).parked == 1
    source.path.write_text(source.path.read_text() + "columns: {public.t: {mask: {v: hash}}}\n")
    masked = replace(source, file=source_file.load(source.path))
    run(source, "UPDATE t SET d = NULL WHERE id = 3")
    assert [copied.name for copied in masked.apply()] == ["public.t"]
    run(source, "INSERT INTO t VALUES (4, 'needle-4')", "INSERT INTO other VALUES (2)")
    assert proof(source.name).equal
    assert proof(source.name, "other").equal
    assert values(target, source, "v") == [hashed(f"needle-{n}") for n in (1, 2, 3, 4)]
    assert not any(b"needle" in (message.value() or b"") for message in messages(f"{source.name}.public.t"))
    assert letters(source.name, everything=True) == []


def test_a_look_at_the_shapes_that_waited_for_an_apply_judges_by_what_was_applied(
    make_source: MakeSource, target: Client
) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text)")
    source.apply()
    source.path.write_text(source.path.read_text() + "columns: {public.t: {mask: {v: hash}}}\n")
    masked = source_file.load(source.path)
    dsn = settings().millrace_state_dsn
    with engine_state.connect(dsn) as state, engine_state.connect(dsn) as other, ThreadPoolExecutor(1) as pool:
        known = engine_state.find_source(state, source.name)
        assert known is not None
        with engine_state.line_of(state, source.name), psycopg.connect(source.dsn) as connection:
            look = pool.submit(shapes.follow, source.name, other, target)
            eventually(lambda: _waits(state, other), "the look waits for the line")
            engine_state.remember_source(state, masked, known.system_identifier, known.timeline)
            for shape in inspect(masked, connection).shapes:
                engine_state.capture_table(state, shape, masked.targets)
        look.result()
        [table] = engine_state.captured_tables(state, source.name)
    assert table.parked is None


def _waits(state: psycopg.Connection[Any], other: psycopg.Connection[Any]) -> bool:
    pid = other.info.backend_pid
    query = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
    return bool(state.execute(query, [pid]).fetchone() == (True,))


DOCUMENTS = """
documents:
  - index: masked
    nodes:
      table: t
      columns: [id, email, phone]
      children:
        - {table: child, columns: [id, email], relationship: {type: one_to_many, variant: object}}
    mapping:
      id: {type: integer}
      email: {type: keyword}
      phone: {type: long}
      child: {properties: {id: {type: integer}, email: {type: keyword}}}
"""


def test_a_masked_email_is_found_nowhere_in_clear(make_source: MakeSource, target: Client, stack: Stack) -> None:
    """Rows are inserted, updated, deleted, copied, refused by both targets; then every place is searched."""
    source = make_source(
        """
        CREATE TABLE t (id int PRIMARY KEY, email text NOT NULL, phone text, day date);
        CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t, email text DEFAULT 'default@needle.example');
        ALTER TABLE t REPLICA IDENTITY FULL; ALTER TABLE child REPLICA IDENTITY FULL
        """,
        DOCUMENTS,
        "columns: {public.t: {mask: {email: hash, phone: truncate(3)}}, public.child: {mask: {email: redact}}}",
    )
    days = ("2000-01-01", "infinity", "2000-01-02")
    rows = [f"({{0}} + {n}, '{{0}}-{n}@needle.example', '+4917654321{n}', '{day}')" for n, day in enumerate(days)]
    insert = (
        "INSERT INTO t VALUES " + ", ".join(rows),
        "INSERT INTO child VALUES ({0}, {0}, DEFAULT), ({0} + 1, {0}, 'c@needle.example')",
    )
    run(source, *(each.format(10) for each in insert))
    source.apply()
    run(source, *(each.format(20) for each in insert))
    run(
        source,
        "UPDATE t SET email = 'later@needle.example', phone = 'n/a 4917654321'",
        "DELETE FROM child WHERE id = 20",
    )
    run(source, "UPDATE t SET id = 30 WHERE id = 22")
    assert proof(source.name).parked == 2
    assert all(found.parked == 6 for found in verify_documents([source.name]))
    assert values(target, source, "email") == [hashed("later@needle.example")] * 4
    places = dict(_everything(source, target, stack))
    for needle in ("needle.example", "4917654321", os.environ["CDC_MASK_KEY"]):
        assert [place for place, text in places.items() if needle.encode() in text] == []
    assert hashed("later@needle.example").encode() in places["dead letters"]
    assert sum(place.startswith("topic ") for place in places) > 3
    assert b"PostgresSource" in places["log connect.log"]


def _everything(source: ThrowAwaySource, target: Client, stack: Stack) -> Iterator[tuple[str, bytes]]:
    """Where a value could have come to, with all that is there."""
    with closing(Kafka(settings().kafka_bootstrap)) as kafka:
        topics = [name for name in kafka.topics() if not name.startswith("__consumer")]
    for topic in topics:
        found = ((m.key() or b"") + (m.value() or b"") + repr(m.headers()).encode() for m in messages(topic))
        yield f"topic {topic}", b"\n".join(found)
    for path in (stack.settings.home / "logs").rglob("*.log"):
        yield f"log {path.name}", path.read_bytes()
    with psycopg.connect(settings().millrace_state_dsn) as state:
        tables = state.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'millrace'").fetchall()
        for (table,) in tables:
            dump = state.execute(
                f"SELECT coalesce(string_agg(t::text, chr(10)), '') FROM millrace.{table} t"
            ).fetchone()
            yield table.replace("_", " "), str(dump).encode()
    for table in ("t", "child"):
        rows = target.query(f"SELECT * FROM raw_{source.name}.{table}").result_rows
        yield f"raw {table}", repr(rows).encode()
    with Elasticsearch(settings().elasticsearch_url) as search:
        yield "documents", str(search.search(index="masked", size=100)).encode()
    yield "connector", httpx.get(f"{settings().connect_url}/connectors/{source.name}").content
