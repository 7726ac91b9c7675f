"""Counts values that a declared `clamp` changes, so that what is lost by declaration is still seen."""

from typing import Any

import psycopg
from psycopg import sql

from cdc.catalog import Shape
from cdc.types import in_source, mapping


def clamped_values(source: psycopg.Connection[Any], shape: Shape) -> int:
    """How many values of the table lie beyond the limits that stand for them in its copy, as of now."""
    beyond = [in_source(kind, column) for column in shape.columns if (kind := mapping(column).clamped) is not None]
    if not beyond:
        return 0
    statement = sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(" + ").join(sql.SQL("count(*) FILTER (WHERE {})").format(each) for each in beyond), shape.rows
    )
    row = source.execute(statement).fetchone()
    assert row is not None
    return int(row[0])
