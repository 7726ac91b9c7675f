"""The publication of a source: which tables, and of one with excluded columns which columns, PostgreSQL tells the connector of."""

import contextlib
from typing import Any

import psycopg
from psycopg import sql

from cdc.catalog import Shape
from cdc.connect.inspection import COLUMN_LISTS
from cdc.connect.plan import Plan
from cdc.source_file import SourceFile

_LISTED = """
SELECT r.prattrs::int2[] FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
WHERE p.pubname = %s AND r.prrelid = format('%%I.%%I', %s::text, %s::text)::regclass
"""


def take_over(plan: Plan, source: psycopg.Connection[Any]) -> None:
    """Publish what the plan says, and nothing that it takes out."""
    publication = sql.Identifier(plan.file.publication)
    tables = [_published(shape) for shape in plan.publish]
    if plan.new_publication:
        statement = sql.SQL("CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true)")
        source.execute(statement.format(publication, sql.SQL(", ").join(tables)))
    else:
        for shape in plan.publish:
            publish(plan.file, shape, source)
    for table in plan.unpublish:
        unpublish(plan.file, table, source)


def publish(file: SourceFile, shape: Shape, source: psycopg.Connection[Any]) -> None:
    """Add the table to the source's publication, unless it is there with the columns that it should have."""
    publication, table = sql.Identifier(file.publication), sql.Identifier(shape.schema, shape.table)
    with source.transaction():
        if source.info.server_version >= COLUMN_LISTS:
            found = source.execute(_LISTED, [file.publication, shape.schema, shape.table]).fetchone()
            wanted = {column.number for column in shape.columns} if shape.hidden else None
            if found is not None and (found[0] if found[0] is None else set(found[0])) == wanted:
                return
            if found is not None:
                source.execute(sql.SQL("ALTER PUBLICATION {} DROP TABLE ONLY {}").format(publication, table))
        with contextlib.suppress(psycopg.errors.DuplicateObject), source.transaction():
            statement = sql.SQL("ALTER PUBLICATION {} ADD TABLE {}")
            source.execute(statement.format(publication, _published(shape)))


def unpublish(file: SourceFile, table: str, source: psycopg.Connection[Any]) -> None:
    """Take a table (``schema.table``) out of the source's publication, if it is there."""
    schema, name = table.split(".", 1)
    found = source.execute(
        "SELECT FROM pg_publication_tables WHERE (pubname, schemaname, tablename) = (%s, %s, %s)",
        [file.publication, schema, name],
    ).fetchone()
    if found is not None:
        statement = sql.SQL("ALTER PUBLICATION {} DROP TABLE ONLY {}")
        source.execute(statement.format(sql.Identifier(file.publication), sql.Identifier(schema, name)))


def _published(shape: Shape) -> sql.Composable:
    """The table, with the list of its columns where some are excluded: those never leave the source."""
    table = sql.SQL("ONLY {}").format(sql.Identifier(shape.schema, shape.table))
    if not shape.hidden:
        return table
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in shape.columns)
    return sql.SQL("{} ({})").format(table, columns)
