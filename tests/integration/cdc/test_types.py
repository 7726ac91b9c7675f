"""One value has one form, whether it was copied, inserted or updated, and that form is PostgreSQL's own."""

from itertools import zip_longest

import psycopg
import pytest
from clickhouse_connect.driver.client import Client
from psycopg import sql

from bench.source import ThrowAwaySource
from cdc.catalog import Column, Shape, read_shapes
from cdc.clickhouse import quote
from cdc.types import clickhouse_type
from cdc.verify import verify_tables
from tests.integration.cdc.conftest import MakeSource
from tests.integration.cdc.type_values import DEFINITIONS, EXTENSIONS, FAMILIES

INSERTED, UPDATED = 100, 200
"""Ids of the rows that hold the values of rows 1, 2, 3... after an insert and after an update in the stream."""


def create(family: str) -> sql.Composed:
    """The family's table."""
    strict = sql.SQL(" NOT NULL" if family == "never_null" else "")
    columns = [
        sql.SQL("{} {}{}").format(sql.Identifier(f"c{n}"), sql.SQL(kind), strict)
        for n, kind in enumerate(FAMILIES[family])
    ]
    return sql.SQL("CREATE TABLE {} (id int4 PRIMARY KEY, {})").format(
        sql.Identifier(family), sql.SQL(", ").join(columns)
    )


def fill(connection: psycopg.Connection, family: str) -> None:
    """The family's rows, and as many others whose values are to be replaced."""
    lists = FAMILIES[family]
    insert = sql.SQL("INSERT INTO {} VALUES ({})").format(
        sql.Identifier(family), sql.SQL(", ").join(sql.SQL("%s::{}").format(sql.SQL(t)) for t in ("int4", *lists))
    )
    rows = list(zip_longest(*lists.values()))
    for number, row in enumerate(rows, 1):
        others = rows[number % len(rows)] if family == "never_null" else [None] * len(row)
        connection.execute(insert, [number, *row])
        connection.execute(insert, [number + UPDATED, *others])


def stream(connection: psycopg.Connection, family: str) -> None:
    """The same values once more, by an insert and by an update."""
    columns = sql.SQL(", ").join(sql.Identifier(f"c{n}") for n in range(len(FAMILIES[family])))
    parts = {
        "table": sql.Identifier(family), "columns": columns,
        "inserted": sql.Literal(INSERTED), "updated": sql.Literal(UPDATED),
    }  # fmt: skip
    for statement in (
        "INSERT INTO {table} SELECT id + {inserted}, {columns} FROM {table} WHERE id < {inserted}",
        "UPDATE {table} t SET ({columns}) = (SELECT {columns} FROM {table} o WHERE o.id = t.id - {updated}) WHERE id > {updated}",
    ):
        connection.execute(sql.SQL(statement).format(**parts))


def texts_of(source: psycopg.Connection, shape: Shape, column: Column) -> dict[int, str | None]:
    """What PostgreSQL itself writes for the column, by id: its output, or the JSON of an array's or a hstore's parts."""
    if column.element is not None:
        form = "array_to_json({c}::text[])" if column.element == "box" else "array_to_json({c}::text::text[])"
    else:
        form = {"hstore": "hstore_to_json({c})", "bytea": "encode({c}, 'hex')"}.get(column.type, "concat({c})")
    statement = sql.SQL("SELECT id, CASE WHEN {c} IS DISTINCT FROM NULL THEN " + form + "::text END FROM {t}").format(
        c=sql.Identifier(column.name), t=sql.Identifier(shape.table)
    )
    source.execute("SET timezone = 'UTC'")
    return dict(source.execute(statement).fetchall())


@pytest.fixture
def everywhere(make_source: MakeSource) -> ThrowAwaySource:
    """Every family, a third of its rows copied, the others streamed."""
    source = make_source(f"{EXTENSIONS} {DEFINITIONS}")
    with psycopg.connect(source.dsn) as connection:
        for family in FAMILIES:
            connection.execute(create(family))
            fill(connection, family)
    source.apply()
    with psycopg.connect(source.dsn) as connection:
        for family in FAMILIES:
            stream(connection, family)
    return source


def test_every_value_of_every_type_is_one_whether_copied_inserted_or_updated(
    everywhere: ThrowAwaySource, target: Client
) -> None:
    proofs = {proof.table.removeprefix("public."): proof for proof in verify_tables([everywhere.name])}
    assert {(name, proof.equal, proof.differing_keys) for name, proof in proofs.items()} == {
        (family, True, ()) for family in FAMILIES
    }
    with psycopg.connect(everywhere.dsn) as source:
        for shape in read_shapes(source, everywhere.name):
            for column in shape.columns[1:]:
                name = quote(column.name)
                copy = f"raw_{everywhere.name}.{quote(shape.table)}"
                found: dict[int, str | None] = {
                    int(number): text
                    for number, text in target.query(f"SELECT id, toString({name}) FROM {copy} FINAL").result_rows
                }
                kind = list(FAMILIES[shape.table])[int(column.name[1:])]
                for number in range(1, len(found) // 3 + 1):
                    values = [found[number], found[number + INSERTED], found[number + UPDATED]]
                    assert values[0] == values[1] == values[2], (kind, number)
                if clickhouse_type(column) in ("String", "Nullable(String)"):
                    assert found == texts_of(source, shape, column), kind
