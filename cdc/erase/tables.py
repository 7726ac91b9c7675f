"""Erasing in a raw table and its log: every version of the row goes, also from the files, but what the source has now."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from cdc.backfill.chunks import copy_where
from cdc.backfill.copy import PIECE_BYTES, insert
from cdc.backfill.rows import read
from cdc.catalog import Shape
from cdc.clickhouse import first_line
from cdc.erasures import Erasure
from cdc.errors import TransientError
from cdc.sinks.clickhouse import cluster, history
from cdc.sinks.clickhouse.raw_table import qualified
from cdc.verify import keys
from cdc.verify.checksum import Key
from cdc.verify.comparing import Sides

_FORMER_PARTS = """
    SELECT count() FROM system.parts
    WHERE database = %(database)s AND table IN (%(table)s, %(log)s) AND NOT active AND toUnixTimestamp(remove_time) <= %(since)s
"""


def write_present(sides: Sides, state: psycopg.Connection[Any], key: Key, stamp: int) -> bool:
    """Write the row as the source has it, under the erasure's own version; whether there is one."""
    there = sides.source_rows([key])
    for condition in keys.present_conditions(sides.shape, there):
        for piece in read(sides.source, copy_where(sides.shape, sides.shape.rows, condition), PIECE_BYTES):
            insert(sides.target, state, sides.shape, stamp, piece.body)
    return bool(there)


def delete_below(target: Client, erasure: Erasure, shape: Shape) -> int:
    """Delete what the table and its log hold of the key below the erasure's version; how many versions.

    A mutation writes the parts anew without the rows (a lightweight DELETE would only hide them). The parts before it would stay
    on disk for some minutes, against a loss of power: from now on they go as soon as the server looks, until `let_parts_live`.

    Raises:
        TransientError: ClickHouse did not do it.
    """
    below = f"{keys.target_condition(shape, [erasure.key])} AND _version < toUInt128('{erasure.version}')"
    deleted = 0
    for table in _tables(target, shape):
        with _saying(table):
            [[versions]] = target.query(f"SELECT count() FROM {table} WHERE {below}").result_rows
            if versions:
                cluster.change(target, f"ALTER TABLE {table} MODIFY SETTING old_parts_lifetime = 0", table)
                cluster.change(target, f"ALTER TABLE {table} DELETE WHERE {below} SETTINGS mutations_sync = 2", table)
            deleted += int(versions)
    return deleted


def former_parts(target: Client, shape: Shape, since: datetime) -> int:
    """How many parts of the table and its log are still on disk that were replaced before then."""
    parameters = {
        "database": cluster.held_in(shape.raw_database),
        "table": shape.raw_table,
        "log": history.log_table(shape),
        "since": math.ceil(since.timestamp()),
    }
    with _saying(qualified(shape)):
        return sum(int(node.query(_FORMER_PARTS, parameters).result_rows[0][0]) for node in cluster.nodes(target))


def let_parts_live(target: Client, shape: Shape) -> None:
    """Keep replaced parts again for as long as the server does."""
    for table in _tables(target, shape):
        with _saying(table):
            cluster.change(target, f"ALTER TABLE {table} RESET SETTING old_parts_lifetime", table)


def _tables(target: Client, shape: Shape) -> list[str]:
    """What holds versions of the table's rows; a log also when it is not followed any more."""
    with _saying(qualified(shape)):
        return [qualified(shape), *([history.log_of(shape)] if history.there(target, shape) else [])]


@contextmanager
def _saying(table: str) -> Iterator[None]:
    try:
        yield
    except ClickHouseError as error:
        raise TransientError(f"{table}: ClickHouse did not erase: {first_line(error)}; erase again") from error
