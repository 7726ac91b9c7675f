"""Databases that were not made for us: odd names, keys of any type, partitions, views, triggers, inheritance."""

from dataclasses import replace

import psycopg
from clickhouse_connect.driver.client import Client
from psycopg import sql

from bench.source import ThrowAwaySource
from cdc.verify import verify_tables
from tests.integration.cdc.conftest import MakeSource, run

ODD = [
    "Mixed Case", "größe €", "漢字", "a.b", 'quo"te', "it's", "back\\slash", "per%cent %s %%", "{brace} {0} {}", "`tick`",
    "semi;colon -- x", "$dollar$1", "select", "after", "op", "source", "key", "digest", "bucket", "_v", "e", "n", "tab\tname",
    "new\nline", "colon:name", "question?", "comma,name", "(paren)", "[square]", "*star*", "a" * 63,
]  # fmt: skip
"""Names of columns and of tables."""


def everything_of(source: ThrowAwaySource) -> ThrowAwaySource:
    """The source with all of its schemas."""
    return replace(source, file=source.file.model_copy(update={"tables": ("*",)}))


def equal_tables(source: ThrowAwaySource) -> dict[str, tuple[int, bool]]:
    """For every captured table, its rows and whether the copy equals it."""
    return {found.table: (found.rows_source, found.equal) for found in verify_tables([source.name])}


def test_columns_of_any_name(make_source: MakeSource) -> None:
    source = make_source("")
    columns = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in ODD)
    with psycopg.connect(source.dsn) as connection:
        connection.execute(sql.SQL("CREATE TABLE t (id int PRIMARY KEY, {})").format(columns))
        connection.execute(
            sql.SQL("CREATE TABLE keyed ({}, PRIMARY KEY ({}))").format(
                columns, sql.SQL(", ").join(map(sql.Identifier, ODD[:12]))
            )
        )
        keys = sql.SQL(", ").join(sql.Literal(name) for name in ODD)
        connection.execute(sql.SQL("INSERT INTO t VALUES (1, {})").format(keys))
        connection.execute(sql.SQL("INSERT INTO keyed VALUES ({})").format(keys))
    source.apply()
    with psycopg.connect(source.dsn) as connection:
        connection.execute(sql.SQL("INSERT INTO t VALUES (2, {}), (3, {})").format(keys, keys))
        connection.execute(sql.SQL("UPDATE t SET {} = 'changed' WHERE id < 3").format(sql.Identifier(ODD[8])))
        connection.execute("DELETE FROM t WHERE id = 3")
        connection.execute(sql.SQL("UPDATE keyed SET {} = 'changed'").format(sql.Identifier(ODD[7])))
        connection.execute(sql.SQL("INSERT INTO keyed VALUES ({})").format(keys))
    assert equal_tables(source) == {"public.t": (2, True), "public.keyed": (2, True)}


def test_tables_of_any_name(make_source: MakeSource) -> None:
    source = everything_of(make_source(""))
    names = [name for name in ODD if not set(name) & set("[*?")]  # these are globs in a source file
    with psycopg.connect(source.dsn) as connection:
        connection.execute('CREATE SCHEMA "Other Schema %s {}"')
        for number, name in enumerate(names):
            schema = "public" if number % 2 else "Other Schema %s {}"
            table = sql.Identifier(schema, name)
            connection.execute(sql.SQL("CREATE TABLE {} (id int PRIMARY KEY, v text)").format(table))
            connection.execute(sql.SQL("INSERT INTO {} VALUES (1, 'copied')").format(table))
    source.apply()
    with psycopg.connect(source.dsn) as connection:
        for number, name in enumerate(names):
            schema = "public" if number % 2 else "Other Schema %s {}"
            table = sql.Identifier(schema, name)
            connection.execute(sql.SQL("INSERT INTO {} VALUES (2, 'streamed')").format(table))
            connection.execute(sql.SQL("UPDATE {} SET id = 3 WHERE id = 1").format(table))
    found = equal_tables(source)
    assert len(found) == len(names)
    assert set(found.values()) == {(2, True)}


def test_keys_of_many_types(make_source: MakeSource) -> None:
    source = make_source(
        """
        CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE TYPE mood AS ENUM ('sad', 'ok');
        CREATE TYPE pair AS (a int, b text); CREATE DOMAIN code AS char(4);
        CREATE TABLE t (a int8, b uuid, c timestamptz, d date, e numeric, f citext, g mood, h bytea, i int4range, j inet,
            k bool, l code, m float8, n text[], o interval, p pair, q jsonb, r "char", s bit varying, u numeric(10, 2), v text,
            PRIMARY KEY (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, u));
        CREATE TABLE h (k hstore PRIMARY KEY, v text);
        CREATE TABLE f (k float4 PRIMARY KEY, v text);
        CREATE TABLE c (k citext PRIMARY KEY, v text);
        CREATE TABLE n (k numeric PRIMARY KEY, v text);
        CREATE TABLE b (k bpchar(3) PRIMARY KEY, v text)
        """
    )
    row = (
        "({0}, '6ecd8c99-4036-403d-bf84-cf8400f67836', '2026-01-01 00:00:00.1+02', '2026-01-01', 1.50, 'CaSe', 'ok', '\\xde5c', "
        "'[1,3)', '10.0.0.1/8', true, 'ab', 'NaN', '{{a,NULL,\"q\\\"\"}}', '1 mon -1 day', '(1,\"x y\")', '{{\"a\": 1.50}}', 'x', "
        "'0001', 1.5, 'v')"
    )
    others = {
        "h": ['\'a=>1, "q\\""=>NULL\'', "''"],
        "f": ["'NaN'", "'-0'", "1e-45"],
        "c": ["'Ab'"],
        "n": ["1.0", "'NaN'", "'-Infinity'"],
        "b": ["'a'", "''"],
    }
    run(source, f"INSERT INTO t VALUES {row.format(1)}, {row.format(2)}")
    source.apply()
    run(
        source,
        f"INSERT INTO t VALUES {row.format(3)}, {row.format(4)}",
        "DELETE FROM t WHERE a IN (1, 3)",
        "UPDATE t SET v = 'w'",
    )
    run(source, "UPDATE t SET e = 1.5 WHERE a = 2", "UPDATE t SET f = 'cAsE' WHERE a = 4")
    for table, keys in others.items():
        for key in keys:
            run(source, f"INSERT INTO {table} VALUES ({key}, 'x')", f"UPDATE {table} SET v = 'y'")
    run(source, "UPDATE c SET k = 'aB'", "UPDATE n SET k = 1.00 WHERE k = 1", "UPDATE f SET k = 0 WHERE k = 0")
    run(source, "DELETE FROM h WHERE k = ''", "DELETE FROM b WHERE k = 'a'", "DELETE FROM f WHERE k = 'NaN'")
    assert equal_tables(source) == {
        "public.t": (2, True), "public.h": (1, True), "public.f": (2, True), "public.c": (1, True), "public.n": (3, True),
        "public.b": (1, True),
    }  # fmt: skip


def test_partitions_views_triggers_and_inheritance_do_not_disturb(make_source: MakeSource, target: Client) -> None:
    source = make_source(
        """
        CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN price AS numeric(10, 2) CHECK (value >= 0);
        CREATE TABLE sales (id int, region text, sold_on date, price price, moods mood[], words tsvector, PRIMARY KEY (id, region))
            PARTITION BY LIST (region);
        CREATE TABLE sales_north PARTITION OF sales FOR VALUES IN ('north');
        CREATE TABLE sales_rest (words tsvector, price price, gone int, id int NOT NULL, moods mood[], region text NOT NULL,
            sold_on date, PRIMARY KEY (id, region));
        ALTER TABLE sales_rest DROP COLUMN gone;
        ALTER TABLE sales ATTACH PARTITION sales_rest DEFAULT;
        CREATE TABLE audit (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text, at timestamptz DEFAULT clock_timestamp());
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
            INSERT INTO audit (what) VALUES (TG_OP || ' ' || TG_TABLE_NAME); NEW.words := to_tsvector('simple', NEW.region);
            RETURN NEW; END$$;
        CREATE TRIGGER noted BEFORE INSERT OR UPDATE ON sales FOR EACH ROW EXECUTE FUNCTION note();
        CREATE VIEW cheap AS SELECT * FROM sales WHERE price < 10;
        CREATE RULE cheaper AS ON DELETE TO cheap DO INSTEAD DELETE FROM sales WHERE id = OLD.id;
        CREATE MATERIALIZED VIEW regions AS SELECT region, count(*) FROM sales GROUP BY 1;
        CREATE UNLOGGED TABLE scratch (id int); CREATE SEQUENCE numbers;
        CREATE TABLE base (id int PRIMARY KEY, v text); CREATE TABLE derived (w int, PRIMARY KEY (id)) INHERITS (base);
        CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY REFERENCES parent ON DELETE CASCADE);
        CREATE TABLE empty (); ALTER TABLE empty ADD id int PRIMARY KEY;
        """
    )
    some = (
        "INSERT INTO sales (id, region, sold_on, price, moods) SELECT n, CASE n % 3 WHEN 0 THEN 'north' ELSE 'r' || n % 3 END, "
        "'2026-01-01', n, '{{ok,NULL}}' FROM generate_series({}, {}) n"
    )
    run(source, some.format(1, 30), "INSERT INTO base VALUES (1, 'a')", "INSERT INTO derived VALUES (2, 'b', 3)")
    source.apply()
    run(
        source,
        some.format(31, 60),
        "UPDATE sales SET price = price + 1 WHERE id % 2 = 0",
        "UPDATE sales SET region = 'north' WHERE id = 31",
        "DELETE FROM cheap WHERE id < 4",
        "REFRESH MATERIALIZED VIEW regions",
        "INSERT INTO parent VALUES (1), (2)",
        "INSERT INTO child VALUES (1), (2)",
        "DELETE FROM parent WHERE id = 1",
        "UPDATE derived SET v = 'c'",
    )
    found = equal_tables(source)
    assert {name: equal for name, (_, equal) in found.items()} == dict.fromkeys(
        (
            "public.sales",
            "public.audit",
            "public.base",
            "public.derived",
            "public.parent",
            "public.child",
            "public.empty",
        ),
        True,
    )
    assert found["public.sales"][0] == 57
    copied = target.query(f"SELECT count(), uniqExact(region) FROM raw_{source.name}.sales FINAL").result_rows
    assert copied == [(57, 3)]
