"""What the sink's statement reads from an event's `source`, which it keeps as text."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from clickhouse_connect.driver.client import Client

from cdc.catalog import Column, Shape
from cdc.sinks.clickhouse import raw_table
from cdc.version import Version

SHAPE = Shape("odd", "public", "t", (Column("id", "int4", nullable=False),), ("id",))
LSN, COMMIT = (1 << 55) + 8, (1 << 54) + 16
"""Larger than a floating-point number is exact for."""


@pytest.fixture
def written(target: Client) -> Iterator[Any]:
    """Inserts one event with this `source`; returns its version and time of commit (microseconds)."""
    target.command(f"CREATE DATABASE {SHAPE.raw_database}")
    target.command(raw_table.create_statement(SHAPE))

    def insert(source: dict[str, Any], *, moved: bool = False) -> tuple[int, int]:
        event = {"before": None, "after": {"id": 1}, "source": source, "transaction": None, "op": "c", "ts_ms": 1}
        statement = raw_table.stream_insert(SHAPE, 3, 1, moved=moved)
        target.command(statement, data=orjson.dumps(event), settings=raw_table.STREAM_SETTINGS)
        [row] = target.query(
            f"SELECT _version, toUnixTimestamp64Micro(_committed_at) FROM {raw_table.qualified(SHAPE)} FINAL"
        ).result_rows
        return int(row[0]), int(row[1])

    yield insert
    target.command(f"DROP DATABASE {SHAPE.raw_database}")


def test_names_that_read_like_fields_are_not_taken_for_them(written: Any) -> None:
    source = {
        "db": '","lsn":7,"sequence":"[\\"7\\",\\"7\\"]',
        "origin_lsn": 9,
        "table": '"lsn":11',
        "sequence": f'["{COMMIT}","{LSN}"]',
        "ts_us": 1_767_225_600_123_456,
        "txId": None,
        "lsn": LSN,
    }
    assert written(source) == (Version(3, COMMIT, LSN).pack(), 1_767_225_600_123_456)
    assert written(source, moved=True)[0] == Version(3, COMMIT, LSN + 1).pack()


def test_a_change_without_its_place_in_the_order_has_the_lowest(written: Any) -> None:
    source = {"sequence": f'[null,"{LSN}"]', "ts_us": 1, "txId": 5, "lsn": LSN}
    assert written(source)[0] == Version(3, 0, LSN).pack()
