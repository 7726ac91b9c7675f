"""The ClickHouse copy equals its source through every kind of change, from the backfill and from the stream alike."""

import psycopg
from clickhouse_connect.driver.client import Client

from cdc.verify import TableProof, verify_tables
from tests.integration.cdc.conftest import MakeSource, run

TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE public.everything (
    id bigint PRIMARY KEY, small int2 NOT NULL, plain int4, big int8, ratio float8, half float4, yes boolean NOT NULL,
    label text NOT NULL, code char(3), short varchar(10), money numeric(12, 2) NOT NULL, wide numeric(60, 20), any_number numeric,
    made_at timestamptz NOT NULL, local_at timestamp, day date, token uuid, body jsonb NOT NULL, old_body json, raw bytea,
    tags text[] NOT NULL, counts int4[] NOT NULL, feeling mood
);
"""
ROWS = r"""
INSERT INTO everything VALUES
 ({0}, -32768, 2147483647, -9223372036854775808, 0.1, 3.4e38, true, E'tab\t new\nline \\ quote" ''', 'DE ', 'x',
  12.30, 0.00000000000000000001, 12345678901234567890.123456789, '1999-12-31 23:59:59.999999+02',
  '2026-02-28 12:00', '1900-01-01', '6ecd8c99-4036-403d-bf84-cf8400f67836', '{{"a": [1, null, "ü"], "b": {{"c": 1.50}}}}',
  '{{"kept": "as it is",  "b":1}}', '\xdeadbeef00', '{{Home,NULL,"a,b","q\"x"}}', '{{1,NULL,-5}}', 'happy'),
 ({1}, 0, NULL, NULL, NULL, NULL, false, '', NULL, NULL, -0.01, NULL, NULL, '2262-01-01 00:00+00', NULL, NULL, NULL,
  '{{}}', NULL, NULL, '{{}}', '{{}}', NULL),
 ({2}, 1, 0, 1, -0.0, 1e-10, true, '\N', '', 'ÄÖ', 0, -1.5, 'NaN', '1970-01-01 00:00+00', '1970-01-01', '2100-01-01',
  NULL, '[]', 'null', '', '{{""}}', '{{0}}', 'sad');
"""


def proof(name: str, table: str) -> TableProof:
    """The verification of one table."""
    [found] = verify_tables([name], [table])
    return found


def test_every_type_has_one_value_whether_it_was_backfilled_or_streamed(
    make_source: MakeSource, target: Client
) -> None:
    source = make_source(TYPES)
    run(source, ROWS.format(1, 2, 3))
    source.apply()
    run(source, ROWS.format(11, 12, 13))
    found = proof(source.name, "everything")
    assert (found.rows_source, found.equal, found.differing_keys) == (6, True, ())
    columns = "* EXCEPT (id, _version, _deleted, _committed_at, _ingested_at, _batch)"
    for one in (1, 2, 3):
        values = target.query(
            f"SELECT toString(tuple({columns})) FROM raw_{source.name}.everything FINAL WHERE id IN ({one}, {one + 10}) ORDER BY id"
        ).result_rows
        assert values[0] == values[1]


def test_updates_deletes_key_changes_and_reinserts_are_followed(make_source: MakeSource, target: Client) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, part int NOT NULL DEFAULT 0, v text)")
    run(source, "INSERT INTO t SELECT n, 0, 'first' FROM generate_series(1, 500) n")
    source.apply()
    with psycopg.connect(source.dsn) as connection:
        connection.execute("UPDATE t SET v = 'second' WHERE id % 3 = 0")
        connection.execute("DELETE FROM t WHERE id % 7 = 0")
        connection.execute("UPDATE t SET id = id + 10000 WHERE id % 11 = 0")
        connection.execute("INSERT INTO t SELECT n, 1, 'again' FROM generate_series(7, 70, 7) n")
        connection.commit()
        connection.execute("DELETE FROM t WHERE id = 8")
        connection.execute("INSERT INTO t VALUES (8, 2, 'back in one transaction')")
        connection.execute("UPDATE t SET id = 9000 WHERE id = 9")
        connection.execute("UPDATE t SET id = 9 WHERE id = 9000")
        connection.commit()
    found = proof(source.name, "t")
    assert (found.equal, found.differing_keys) == (True, ())
    gone = target.query(f"SELECT count() FROM raw_{source.name}.t WHERE _deleted AND id = 9000").result_rows
    assert gone[0][0] >= 1


def test_a_row_reinserted_by_the_later_commit_lives_though_its_record_is_older(make_source: MakeSource) -> None:
    """The insert writes its record, waits for the other transaction's delete, and commits after it."""
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text)")
    run(source, "INSERT INTO t VALUES (1, 'old')")
    source.apply()
    with psycopg.connect(source.dsn) as first, psycopg.connect(source.dsn) as second:
        first.execute("UPDATE t SET v = 'touched' WHERE id = 1")
        second.pgconn.send_query(b"INSERT INTO t VALUES (1, 'new')")
        _wait_until_blocked(source.dsn, second.info.backend_pid)
        first.execute("DELETE FROM t WHERE id = 1")
        first.commit()
        while second.pgconn.get_result() is not None:
            pass
        second.commit()
    found = proof(source.name, "t")
    assert (found.rows_source, found.equal) == (1, True)


def test_several_tables_composite_keys_and_odd_names(make_source: MakeSource) -> None:
    source = make_source(
        """
        CREATE TABLE lines (order_id uuid, line int2, "Größe in cm" numeric(5, 1) NOT NULL, PRIMARY KEY (order_id, line));
        CREATE TABLE "Mixed Case" (
            key text PRIMARY KEY, digest numeric DEFAULT 1e20, bucket numeric DEFAULT '-Infinity', "it's" text, "select" int);
        CREATE SCHEMA other; CREATE TABLE other.lines (id int PRIMARY KEY);
        """
    )
    run(source, "INSERT INTO lines SELECT gen_random_uuid(), n, n * 1.5 FROM generate_series(1, 300) n")
    source.apply()
    run(
        source,
        """INSERT INTO "Mixed Case" (key, "it's", "select") VALUES ('a`b', 'q''q', 1), ('ä\\n', NULL, NULL)""",
        "UPDATE lines SET line = line + 1000 WHERE line < 50",
        """UPDATE "Mixed Case" SET "it's" = 'changed'""",
    )
    proofs = verify_tables([source.name])
    assert {(p.table, p.rows_source, p.equal) for p in proofs} == {
        ("public.Mixed Case", 2, True),
        ("public.lines", 300, True),
    }


def test_an_older_version_that_arrives_later_loses(make_source: MakeSource, target: Client) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, v text)")
    source.apply()
    run(source, "INSERT INTO t VALUES (1, 'current')")
    assert proof(source.name, "t").equal
    target.command(
        f"INSERT INTO raw_{source.name}.t SELECT * "
        f"REPLACE ('stale' AS v, _version - 1 AS _version, _batch + 1000 AS _batch) FROM raw_{source.name}.t"
    )
    assert proof(source.name, "t").equal


def _wait_until_blocked(dsn: str, pid: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as watcher:
        while watcher.execute("SELECT cardinality(pg_blocking_pids(%s)) > 0", [pid]).fetchone() != (True,):
            pass
