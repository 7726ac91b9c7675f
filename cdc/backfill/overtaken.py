"""Rows that were refused while a table was copied, and whose newer change the stream has written meanwhile.

A sink resolves what is parked below the change that it writes (`cdc.sinks.clickhouse.flush`), and looks for it once the change is
written; a copier parks, and looks here for what is written. So one of the two finds the other, whoever comes first.
"""

from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import dead_letters, message_keys
from cdc.catalog import Shape
from cdc.sinks.clickhouse import raw_table
from cdc.verify import keys, spelling


def resolve_overtaken(
    state: psycopg.Connection[Any], source: psycopg.Connection[Any], target: Client, shape: Shape, stamp: int
) -> None:
    """Resolve what was parked under a copy's stamp of keys that the raw table has newer rows of."""
    parked = [
        letter.key
        for letter in dead_letters.listed(state, table=f"{shape.source}.{shape.qualified}")
        if letter.target == "clickhouse" and letter.version == stamp
    ]
    if not parked:
        return
    spelled = message_keys.spelled(source, shape, parked)
    texts = ", ".join(spelling.target_text(column) for column in shape.key_columns)
    written: list[tuple[str, int]] = []
    for lot in keys.batches(spelled):
        rows = target.query(
            f"SELECT [{texts}], toString(max(_version)) FROM {raw_table.qualified(shape)} "
            f"WHERE _version > toUInt128('{stamp}') AND {keys.target_condition(shape, lot)} GROUP BY 1"
        ).result_rows
        written += [(spelled[tuple(key)], int(version)) for key, version in rows]
    dead_letters.supersede(state, "clickhouse", shape.source, shape.qualified, written)
