"""What a test asks of the log beside a raw table, and of the source's own record of what was done to its rows."""

from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from bench.source import ThrowAwaySource

REST = "history: [public.t]"
WITNESS = """
CREATE TABLE t (id int PRIMARY KEY, v text, n int NOT NULL DEFAULT 0);
ALTER TABLE t REPLICA IDENTITY FULL;
CREATE SCHEMA witness;
CREATE TABLE witness.seen (number int GENERATED ALWAYS AS IDENTITY, id int, v text, n int, gone boolean);
CREATE FUNCTION witness.note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR (TG_OP = 'UPDATE' AND OLD.id <> NEW.id) THEN
        INSERT INTO witness.seen (id, gone) VALUES (OLD.id, true);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO witness.seen (id, v, n, gone) VALUES (NEW.id, NEW.v, NEW.n, false);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION witness.note();
"""
"""A table whose database writes down by itself, in order, every version that a row of it has had."""


def logged(target: Client, source: ThrowAwaySource, columns: str = "v, n", table: str = "t") -> list[tuple[Any, ...]]:
    """Every version in the log as (id, columns..., whether it is an end), by key and then in their order."""
    kept = ", ".join(f"if(_deleted, NULL, {name.strip()})" for name in columns.split(","))
    rows = target.query(
        f"SELECT id, {kept}, _deleted = 1 FROM raw_{source.name}.{table}__history FINAL ORDER BY id, _version"
    ).result_rows
    return [tuple(row) for row in rows]


def witnessed(source: ThrowAwaySource) -> list[tuple[Any, ...]]:
    """The same as `logged`, by what the source wrote down."""
    with psycopg.connect(source.dsn) as connection:
        return connection.execute("SELECT id, v, n, gone FROM witness.seen ORDER BY id, number").fetchall()
