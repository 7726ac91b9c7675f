"""What a row-by-row copy gets wrong: TRUNCATE, values that the log leaves out, rows that the target refuses."""

import orjson
import psycopg
import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import Producer

from cdc import clickhouse, dead_letters
from cdc import state as engine_state
from cdc.backfill import refused
from cdc.backfill.overtaken import resolve_overtaken
from cdc.connect.connector import PLACEHOLDER
from cdc.dead_letters import DeadLetter
from cdc.settings import settings
from cdc.sinks.clickhouse.replay import replay
from cdc.sinks.clickhouse.writer import RefusedRows
from cdc.verify import TableProof, verify_tables
from tests.integration.cdc.conftest import MakeSource, captured, copy_again, run
from tests.integration.cdc.topics import messages

BIG = (
    "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 200))"  # too large for a row, not compressible
)


def proof(name: str, table: str = "t") -> TableProof:
    """The verification of one table."""
    [found] = verify_tables([name], [table])
    return found


def letters(source: str, *, everything: bool = False) -> list[DeadLetter]:
    """The open dead letters of a source, or all of them."""
    with engine_state.connect(settings().millrace_state_dsn) as state:
        found = dead_letters.listed(state, everything=everything)
    return [letter for letter in found if letter.source == source]


def replay_all(source: str) -> int:
    """Replay the source's open dead letters; returns how many went through."""
    config = settings()
    target = clickhouse.engine_client(config)
    with engine_state.connect(config.millrace_state_dsn) as state:
        return replay(state, target, config.millrace_state_dsn, letters(source))


def test_a_truncate_empties_the_copy_and_what_follows_it_lives(make_source: MakeSource) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text)")
    run(source, "INSERT INTO t SELECT n, 'old' FROM generate_series(1, 1000) n")
    source.apply()
    with psycopg.connect(source.dsn) as connection:
        connection.execute("INSERT INTO t VALUES (2000, 'dies with it')")
        connection.execute("TRUNCATE t")
        connection.execute("INSERT INTO t VALUES (1, 'new'), (2, 'new')")
    found = proof(source.name)
    assert (found.rows_source, found.equal, found.differing_keys) == (2, True, ())


def test_a_truncate_overtaken_by_a_slow_partition_stays_followed(make_source: MakeSource) -> None:
    """An older change of a key that the copy never had arrives after the TRUNCATE."""
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text)")
    source.apply()
    run(source, "INSERT INTO t VALUES (1, 'dead')", "TRUNCATE t", "INSERT INTO t VALUES (2, 'alive')")
    assert proof(source.name).equal
    topic = f"{source.name}.public.t"
    [older] = [m for m in messages(topic) if m.key() == b'{"id":1}']
    event = orjson.loads(older.value() or b"")
    event["after"]["id"] = 3
    producer = Producer({"bootstrap.servers": settings().kafka_bootstrap})
    producer.produce(topic, key=b'{"id":3}', value=orjson.dumps(event), headers=older.headers())
    producer.flush(10)
    found = proof(source.name)
    assert (found.rows_source, found.rows_target, found.equal) == (1, 1, True)


def test_an_update_that_leaves_out_a_large_value_keeps_it(make_source: MakeSource) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, n int, big text, other text)")
    run(source, f"INSERT INTO t SELECT n, 0, {BIG}, {BIG} FROM generate_series(1, 50) n")
    source.apply()
    with psycopg.connect(source.dsn, autocommit=True) as connection:
        connection.execute(f"INSERT INTO t SELECT n, 0, {BIG}, {BIG} FROM generate_series(51, 100) n")
        connection.execute("UPDATE t SET n = n + 1")
        connection.execute(f"UPDATE t SET big = {BIG}, n = n + 1 WHERE id % 2 = 0")
        connection.execute(f"UPDATE t SET other = {BIG}, n = n + 1 WHERE id % 3 = 0")
        connection.execute("UPDATE t SET id = id + 1000 WHERE id % 5 = 0")
        connection.execute("UPDATE t SET n = n + 1 WHERE id > 1000")
        connection.execute("DELETE FROM t WHERE id % 7 = 0")
    found = proof(source.name)
    assert (found.equal, found.differing_keys) == (True, ())
    assert any(PLACEHOLDER.encode() in (m.value() or b"") for m in messages(f"{source.name}.public.t"))


def test_a_text_that_spells_the_placeholder_is_copied_as_any_other(make_source: MakeSource, target: Client) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text)")
    source.apply()
    run(source, f"INSERT INTO t VALUES (1, '{PLACEHOLDER}')")
    assert proof(source.name).equal
    assert target.query(f"SELECT v FROM raw_{source.name}.t FINAL").result_rows == [(PLACEHOLDER,)]


@pytest.mark.parametrize(("rows", "step"), [(3000, 7)])
def test_refused_rows_are_parked_the_rest_flows_and_a_replay_brings_them(
    make_source: MakeSource, target: Client, rows: int, step: int
) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)")
    source.apply()
    target.command(f"ALTER TABLE raw_{source.name}.t ADD CONSTRAINT small CHECK n < 1000000")
    run(
        source,
        f"INSERT INTO t SELECT i, CASE WHEN i % {step} = 0 THEN 2000000 ELSE 1 END FROM generate_series(1, {rows}) i",
    )
    refused = rows // step
    found = proof(source.name)
    assert (found.differing, found.parked, found.equal) == (0, refused, False)
    assert len(letters(source.name)) == refused
    assert replay_all(source.name) == 0
    target.command(f"ALTER TABLE raw_{source.name}.t DROP CONSTRAINT small")
    assert replay_all(source.name) == refused
    assert proof(source.name).equal


def test_a_newer_change_of_a_parked_key_is_written_and_supersedes_it(make_source: MakeSource, target: Client) -> None:
    """A parked row, then an update that leaves its large value out: the value must not come from the copy's older row."""
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, big text)")
    run(source, f"INSERT INTO t VALUES (1, 1, {BIG})")
    source.apply()
    target.command(f"ALTER TABLE raw_{source.name}.t ADD CONSTRAINT small CHECK n < 1000000")
    run(source, f"UPDATE t SET n = 2000000, big = {BIG}")
    assert proof(source.name).parked == 1
    run(source, "UPDATE t SET n = 2")
    found = proof(source.name)
    assert (found.equal, found.parked) == (True, 0)
    assert [letter.outcome for letter in letters(source.name, everything=True)] == ["superseded"]


def test_readers_of_batches_stop_below_a_stalled_one(engine: None) -> None:
    with engine_state.connect(settings().millrace_state_dsn) as state:
        stalled = engine_state.open_batch(state, "a stalled writer")
        try:
            for _ in range(50):
                engine_state.close_batch(state, engine_state.open_batch(state, "others"))
            assert engine_state.readable_below(state) <= stalled
        finally:
            engine_state.close_abandoned(state, "a stalled writer")
        assert engine_state.readable_below(state) > stalled


def test_a_row_that_is_refused_while_it_is_copied_is_parked_and_the_rest_is_copied(make_source: MakeSource) -> None:
    source = make_source("CREATE TABLE t (id int, part text, day date NOT NULL, PRIMARY KEY (part, id))")
    run(source, "INSERT INTO t SELECT n, E'a\\t\"b\"\\\\', '2020-01-01' FROM generate_series(1, 1000) n")
    run(source, "UPDATE t SET day = 'infinity' WHERE id IN (1, 500)")
    assert [copied.name for copied in source.apply()] == ["public.t"]
    found = proof(source.name)
    assert (found.differing, found.parked) == (0, 2)
    assert replay_all(source.name) == 0
    run(source, "UPDATE t SET day = '2021-01-01' WHERE id = 1")
    found = proof(source.name)
    assert (found.differing, found.parked) == (0, 1)
    run(source, "DELETE FROM t WHERE id = 500")
    assert proof(source.name).equal


def test_a_change_resolves_what_a_copy_has_parked_a_moment_before(make_source: MakeSource) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, day date NOT NULL)")
    run(source, "INSERT INTO t VALUES (1, 'infinity')")
    source.apply()
    copy_again(source)
    run(source, "UPDATE t SET day = '2021-01-01'")
    found = proof(source.name)
    assert (found.differing, found.parked) == (0, 0)


def test_a_copy_resolves_what_it_has_parked_of_keys_that_were_written_meanwhile(
    make_source: MakeSource, target: Client
) -> None:
    source = make_source("CREATE TABLE t (id int, part text, v text, PRIMARY KEY (part, id))")
    run(source, "INSERT INTO t SELECT n, E'a\\t\"b\"\\\\', 'v' FROM generate_series(1, 2) n")
    source.apply()
    run(source, "UPDATE t SET v = 'w' WHERE id = 1")
    assert proof(source.name).equal
    shape = captured(source).shapes[0]
    [stamp] = target.query(f"SELECT toString(min(_version)) FROM raw_{source.name}.t").result_columns[0]
    lines = [b"\t".join([b"%d" % key, rb'a\t"b"\\', b"old"]) for key in (1, 2)]
    with engine_state.connect(settings().millrace_state_dsn) as state, psycopg.connect(source.dsn) as connection:
        refused.park(state, shape, int(stamp), [(line, RefusedRows("t", "tried", 0)) for line in lines])
        resolve_overtaken(state, connection, target, shape, int(stamp))
    assert [orjson.loads(letter.key)["id"] for letter in letters(source.name)] == [2]
