"""What a source file says about columns: other types, another key, columns that reach no copy; and values out of range."""

import psycopg
import pytest
from clickhouse_connect.driver.client import Client

from bench.source import ThrowAwaySource
from cdc.errors import ConfigurationError
from cdc.verify import verify_tables
from tests.conftest import Stack
from tests.integration.cdc.conftest import MakeSource, run
from tests.integration.cdc.test_faults import letters, proof
from tests.integration.cdc.topics import messages

BEYOND = [
    "'infinity'", "'-infinity'", "'0044-03-15 BC'", "'1899-12-31'", "'2300-01-01'", "'12345-06-07'", "'2024-02-29'",
]  # fmt: skip


def values(target: Client, source: ThrowAwaySource, column: str, table: str = "t") -> list[str | None]:
    """The column's values as text, by id."""
    rows = target.query(f"SELECT toString({column}) FROM raw_{source.name}.{table} FINAL ORDER BY id").result_rows
    return [text for (text,) in rows]


def test_dates_beyond_the_range_are_parked_and_the_rest_flows(make_source: MakeSource, target: Client) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, day date, at timestamp, zoned timestamptz)")
    source.apply()
    run(
        source,
        "INSERT INTO t (id, day) VALUES " + ", ".join(f"({n}, {text})" for n, text in enumerate(BEYOND)),
        "INSERT INTO t (id, at) VALUES (10, 'infinity'), (11, '0044-03-15 BC'), (12, '12345-06-07'), (13, '0001-01-01')",
        "INSERT INTO t (id, zoned) VALUES (20, '-infinity'), (21, '0044-03-15 BC'), (22, '9999-12-31')",
    )
    found = proof(source.name)
    refused = {0, 1, 2, 3, 4, 5, 10, 11, 12, 20, 21}
    assert found.parked == len(refused)
    assert {letter.key for letter in letters(source.name)} == {f'{{"id":{n}}}' for n in refused}
    assert values(target, source, "id") == ["6", "13", "22"]
    run(source, "UPDATE t SET day = '2000-01-01', at = NULL, zoned = NULL")
    found = proof(source.name)
    assert (found.equal, found.parked, found.rows_target) == (True, 0, 14)


def test_dates_beyond_the_range_are_kept_as_text_or_clamped_where_declared(
    make_source: MakeSource, target: Client
) -> None:
    source = make_source(
        """
        CREATE TABLE t (id int PRIMARY KEY, day date, day_text date, at timestamp NOT NULL, at_text timestamp,
                        zoned timestamptz, zoned_text timestamptz NOT NULL)
        """,
        rest="columns: {public.t: {types: {day: clamp, at: clamp, zoned: clamp, day_text: text, at_text: text, zoned_text: text}}}",
    )
    insert = "INSERT INTO t VALUES " + ", ".join(
        "({}, {})".format(f"{{}} + {n}", ", ".join([text] * 6)) for n, text in enumerate(BEYOND)
    )
    run(source, insert.format(*[0] * len(BEYOND)))
    source.apply()
    run(source, insert.format(*[100] * len(BEYOND)))
    found = proof(source.name)
    assert (found.equal, found.rows_target) == (True, 2 * len(BEYOND))
    assert found.clamped == 2 * (6 + 4 + 4)
    first, last = "1900-01-01", "2299-12-31"
    assert values(target, source, "day") == 2 * [last, first, first, first, last, last, "2024-02-29"]
    earliest, latest = "0001-01-01 00:00:00.000000", "9999-12-31 23:59:59.999999"
    moments = [latest, earliest, earliest, "1899-12-31 00:00:00.000000", "2300-01-01 00:00:00.000000", latest]
    for column in ("at", "zoned"):
        assert values(target, source, column) == 2 * [*moments, "2024-02-29 00:00:00.000000"]
    days = [text.strip("'") for text in BEYOND]
    assert values(target, source, "day_text") == 2 * days
    midnight = [day if "infinity" in day else f"{day[:10].strip()} 00:00:00{day[10:]}" for day in days]
    midnight[5] = "12345-06-07 00:00:00"
    assert values(target, source, "at_text") == 2 * midnight


def test_declared_types_hold_exactly_what_fits_and_refuse_the_rest(make_source: MakeSource, target: Client) -> None:
    source = make_source(
        """
        CREATE TABLE t (id int PRIMARY KEY, amount numeric, price numeric(12, 2) NOT NULL, state text, place text NOT NULL,
                        tags text[] NOT NULL DEFAULT '{}')
        """,
        rest="columns: {public.t: {types: {amount: 'Decimal(20, 4)', price: text, state: LowCardinality(String), "
        "place: LowCardinality(String), tags: text}}}",
    )
    run(
        source,
        "INSERT INTO t VALUES (1, 1.5000000, 2.5, 'new', 'here', '{{a,b},{c,NULL}}'), (2, NULL, 0, NULL, '', '{}')",
    )
    source.apply()
    run(source, "INSERT INTO t SELECT id + 10, amount, price, state, place, tags FROM t")
    run(source, "INSERT INTO t VALUES (21, 1.50001, 0, '', ''), (22, 'NaN', 0, '', ''), (23, 1e16, 0, '', '')")
    assert proof(source.name).parked == 3
    assert values(target, source, "amount") == ["1.5", None, "1.5", None]
    assert values(target, source, "price") == ["2.50", "0.00", "2.50", "0.00"]
    assert values(target, source, "tags") == 2 * ['[["a","b"],["c",null]]', "[]"]
    run(source, "DELETE FROM t WHERE id > 20")
    found = proof(source.name)
    assert (found.equal, found.rows_target, found.parked) == (True, 4, 0)


def test_an_array_of_more_dimensions_than_declared_is_parked_not_flattened(
    make_source: MakeSource, target: Client
) -> None:
    source = make_source("CREATE TABLE t (id int PRIMARY KEY, n int[] NOT NULL, s text[] NOT NULL)")
    source.apply()
    run(source, "INSERT INTO t VALUES (1, '{{1},{2}}', '{}'), (2, '{}', '{{a}}'), (3, '{1}', '{a}')")
    assert proof(source.name).parked == 2
    assert values(target, source, "s") == ["['a']"]


def test_a_null_in_a_column_with_a_default_stays_null(make_source: MakeSource, target: Client) -> None:
    source = make_source(
        "CREATE TABLE t (id int PRIMARY KEY, s text DEFAULT 'x', n int DEFAULT 7, d date DEFAULT '2020-01-01')"
    )
    source.apply()
    run(source, "INSERT INTO t VALUES (1, NULL, NULL, NULL)", "INSERT INTO t VALUES (2)")
    assert proof(source.name).equal
    assert values(target, source, "s") == [None, "x"]
    assert values(target, source, "n") == [None, "7"]


def test_large_values_of_every_kind_that_an_update_leaves_out_are_kept(make_source: MakeSource) -> None:
    """Debezium marks them by type: as numbers in an array of integers, as bytes in a bytea."""
    kinds = ("text", "bytea", "int4[]", "text[]", "numeric", "jsonb", "hstore", "tsvector", "int4multirange", "varbit")
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(kinds))
    source = make_source(
        f"CREATE EXTENSION hstore; CREATE TABLE t (id bytea, tags int[], {columns}, small int, PRIMARY KEY (id, tags))"
    )
    text = "(SELECT string_agg(md5(random()::text), ' ') FROM generate_series(1, 300))"
    numbers = "(SELECT array_agg((random() * 1e9)::int4) FROM generate_series(1, 3000))"
    big = {
        "text": text, "bytea": f"{text}::bytea", "int4[]": numbers, "text[]": f"string_to_array({text}, ' ')",
        "numeric": "(SELECT string_agg((random() * 1e9)::int8::text, '') FROM generate_series(1, 900))::numeric",
        "jsonb": f"to_jsonb({text})", "hstore": f"hstore('k', {text})", "tsvector": f"{text}::tsvector",
        "int4multirange": f"(SELECT range_agg(int4range(n, n + 1)) FROM unnest({numbers}) n)",
        "varbit": f"(SELECT string_agg((n & 1048575)::bit(20)::text, '') FROM unnest({numbers}) n)::varbit",
    }  # fmt: skip
    source.apply()
    values_of = ", ".join(big[kind] for kind in kinds)
    run(source, f"INSERT INTO t SELECT '\\xde5c', ARRAY[1, NULL], {values_of}, 1", "UPDATE t SET small = 2")
    found = proof(source.name)
    assert (found.equal, found.rows_target, found.parked) == (True, 1, 0)
    assert sum(b"__millrace_absent" in (message.value() or b"") for message in messages(f"{source.name}.public.t")) == 1


def test_an_excluded_column_reaches_neither_the_copy_nor_the_topic(
    make_source: MakeSource, target: Client, stack: Stack
) -> None:
    source = make_source(
        """
        CREATE TABLE t (id int PRIMARY KEY, name text, secret text NOT NULL, twice int GENERATED ALWAYS AS (id * 2) STORED);
        CREATE TABLE other (id int PRIMARY KEY, secret text)
        """,
        rest="columns: {public.t: {exclude: [secret]}}",
    )
    run(source, "INSERT INTO t VALUES (1, 'copied', 'hush')")
    source.apply()
    run(
        source,
        "INSERT INTO t VALUES (2, 'streamed', 'hush'), (3, 'x', 'hush')",
        "UPDATE t SET secret = 'hush hush', name = 'y' WHERE id = 3",
    )
    run(source, "DELETE FROM t WHERE id = 1", "INSERT INTO other VALUES (1, 'shown')")
    assert all(found.equal for found in verify_tables([source.name]))
    assert values(target, source, "name") == ["streamed", "y"]
    assert not any(b"hush" in (message.value() or b"") for message in messages(f"{source.name}.public.t"))
    columns = target.query(
        f"SELECT name FROM system.columns WHERE database = 'raw_{source.name}' AND table = 't'"
    ).result_rows
    assert {"secret", "twice"}.isdisjoint(name for (name,) in columns)
    started = connector_starts(source)
    with stack.stopped("cdc-keeper"):  # which would capture the new table by itself
        run(source, "CREATE TABLE late (id int PRIMARY KEY)", "INSERT INTO late VALUES (1)")
        assert [copied.name for copied in source.apply()] == ["public.late"]
    assert connector_starts(source) == started


def connector_starts(source: ThrowAwaySource) -> str:
    """When the connector's session on the source began: another moment after a restart."""
    with psycopg.connect(source.dsn) as connection:
        row = connection.execute(
            "SELECT a.backend_start::text FROM pg_replication_slots s JOIN pg_stat_activity a ON a.pid = s.active_pid "
            "WHERE s.slot_name = %s", [source.file.slot]
        ).fetchone()  # fmt: skip
    assert row is not None
    return str(row[0])


def test_a_declared_key_identifies_rows_and_its_changes_are_followed(make_source: MakeSource, target: Client) -> None:
    source = make_source(
        """
        CREATE TABLE t (id int PRIMARY KEY DEFERRABLE, "Code, x" text NOT NULL, part int NOT NULL, v text);
        CREATE UNIQUE INDEX by_code ON t (part, "Code, x");
        ALTER TABLE t REPLICA IDENTITY USING INDEX by_code;
        CREATE TABLE plain (code text NOT NULL UNIQUE, v int);
        ALTER TABLE plain REPLICA IDENTITY FULL;
        """.replace("Code, x", "Code x"),
        rest='columns: {public.t: {key: ["Code x", part]}, public.plain: {key: [code]}}',
    )
    run(
        source, "INSERT INTO t VALUES (1, 'a', 1, 'x'), (2, 'b', 1, 'y')", "INSERT INTO plain VALUES ('a', 1), ('b', 2)"
    )
    source.apply()
    run(
        source,
        "UPDATE t SET \"Code x\" = 'c' WHERE id = 1",
        "UPDATE t SET id = 20 WHERE id = 2",
        "INSERT INTO t VALUES (3, 'a', 1, 'new')",
        "DELETE FROM t WHERE id = 20",
        "UPDATE plain SET code = 'c', v = 3 WHERE code = 'a'",
        "DELETE FROM plain WHERE code = 'b'",
    )
    assert {(found.table, found.rows_target, found.equal) for found in verify_tables([source.name])} == {
        ("public.t", 2, True),
        ("public.plain", 1, True),
    }


@pytest.mark.parametrize(
    ("tables", "columns", "says"),
    [
        ("", "public.gone: {exclude: [v]}", r"`columns.public.gone`: the table does not exist"),
        ("", "public.t: {exclude: [gone]}", r"`columns.public.t.exclude`: the column gone does not exist; there are id, v"),
        ("", "public.t: {types: {gone: text}}", r"`columns.public.t.types`: the column gone does not exist"),
        ("", "public.t: {key: [gone]}", r"`columns.public.t.key`: the column gone does not exist"),
        ("", "public.t: {types: {v: clamp}}", r"column v of type text cannot be kept as 'clamp'; it can be text, LowCard"),
        ("", "public.t: {types: {id: text}}", r"column id of type int4 cannot be kept as 'text'; its usual mapping is"),
        ("", "public.t: {types: {n: 'Decimal(77, 2)'}}", r"column n of type numeric cannot be kept as 'Decimal\(77, 2\)'"),
        ("", "public.t: {exclude: [id]}", r"public.t: id of the key cannot be excluded"),
        ("", "public.t: {key: [v]}", r"public.t: there is no unique, immediate and whole index on \(v\)"),
        ("CREATE UNIQUE INDEX ON t (v)", "public.t: {key: [v]}", r"public.t: v of the key may be NULL; make it NOT NULL"),
        (
            "CREATE UNIQUE INDEX ON t (n) WHERE n > 0",
            "public.t: {key: [n]}",
            r"public.t: there is no unique, immediate and whole index on \(n\)",
        ),
        (
            "CREATE UNIQUE INDEX ON t (m)",
            "public.t: {key: [m]}",
            r"of a deleted row the log holds id, not the key \(m\); set its REPLICA IDENTITY",
        ),
        ("ALTER TABLE t REPLICA IDENTITY NOTHING", "{}", r"of a deleted row the log holds nothing, not the key \(id\)"),
        (
            "ALTER TABLE t REPLICA IDENTITY FULL",
            "public.t: {exclude: [v]}",
            r"has REPLICA IDENTITY FULL, and PostgreSQL would refuse its updates",
        ),
        (
            "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT; "
            "ALTER TABLE p1 REPLICA IDENTITY NOTHING",
            "{}",
            r"public.p: of a deleted row the log holds nothing",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_done_with_columns_is_refused_with_the_reason(
    make_source: MakeSource, tables: str, columns: str, says: str
) -> None:
    source = make_source(
        f"CREATE TABLE t (id int PRIMARY KEY, v text, n numeric NOT NULL DEFAULT 0, m int NOT NULL DEFAULT 0); {tables}",
        rest=f"columns: {columns if columns == '{}' else '{' + columns + '}'}",
    )
    with pytest.raises(ConfigurationError, match=says):
        source.apply()
