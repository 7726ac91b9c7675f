"""The tables of the clickstream, and inserts into them.

One row per `event_id`: of several the one that arrived first stays (`_rank` falls as time goes on). Rows of a repeated
insert are equal and merge into one; readers say FINAL. Nothing is partitioned, or two rows of one id could part.
"""

from collections.abc import Sequence

import orjson
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError

from services.analytics.clickhouse import code
from services.analytics.loader.rows import Letter, Row

EVENTS = """
CREATE TABLE IF NOT EXISTS raw_clickstream.events (
    event_id UUID,
    source LowCardinality(String) COMMENT 'clickstream: told by the shop front; search: told by the search service',
    type LowCardinality(String),
    at DateTime64(3, 'UTC') COMMENT 'when it happened, by the server''s clock',
    received_at DateTime64(6, 'UTC'),
    session String,
    user_id Nullable(UUID),
    product_id Nullable(UUID),
    order_id Nullable(UUID),
    query String,
    query_id String,
    quantity Nullable(UInt16),
    position Nullable(UInt32),
    total Nullable(UInt64),
    rest String COMMENT 'every other member, as JSON',
    _rank UInt64 DEFAULT 18446744073709551615 - toUInt64(toUnixTimestamp64Micro(received_at)),
    INDEX at_range at TYPE minmax
) ENGINE = ReplacingMergeTree(_rank) ORDER BY toUInt128(event_id)
TTL toDateTime(received_at) + INTERVAL 400 DAY
"""
PARKED = """
CREATE TABLE IF NOT EXISTS raw_clickstream.parked (
    topic LowCardinality(String),
    partition UInt32,
    offset UInt64,
    number UInt32 COMMENT 'of the event within its record',
    reason String,
    body String,
    parked_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
) ENGINE = ReplacingMergeTree ORDER BY (topic, partition, offset, number)
TTL toDateTime(parked_at) + INTERVAL 400 DAY
"""
# What ClickHouse says of a value: everything else (away, full, too many parts, rights) is tried again.
_FAULTS_OF_A_VALUE = {6, 26, 27, 38, 41, 53, 69, 72, 117, 131, 321, 376, 407}
_SETTINGS = {"input_format_skip_unknown_fields": 0, "date_time_input_format": "basic"}


def create(target: Client) -> None:
    """Make the tables where they are missing."""
    for statement in (EVENTS, PARKED):
        target.command(statement)


def insert(target: Client, rows: Sequence[Row]) -> list[Letter]:
    """Insert the rows; those that ClickHouse refuses for what they hold come back as letters, the others are in.

    Raises ClickHouseError when it could not be done for another reason: then nobody knows which rows are in.
    """
    if not rows:
        return []
    try:
        target.raw_insert(
            "raw_clickstream.events",
            insert_block=b"\n".join(row.line for row in rows),
            fmt="JSONEachRow",
            settings=_SETTINGS,
        )
    except ClickHouseError as error:
        if not isinstance(error, DataError) and code(error) not in _FAULTS_OF_A_VALUE:
            raise
        if len(rows) == 1:
            return [Letter(rows[0].place, rows[0].number, str(error).splitlines()[0][:500], rows[0].line)]
        middle = len(rows) // 2
        return insert(target, rows[:middle]) + insert(target, rows[middle:])
    return []


def park(target: Client, letters: Sequence[Letter]) -> None:
    """Keep what cannot be loaded, once however often it comes."""
    if letters:
        lines = [
            orjson.dumps(
                {
                    "topic": letter.place.topic,
                    "partition": letter.place.partition,
                    "offset": letter.place.offset,
                    "number": letter.number,
                    "reason": letter.reason,
                    "body": letter.body.decode("utf-8", "backslashreplace"),
                }
            )
            for letter in letters
        ]
        target.raw_insert("raw_clickstream.parked", insert_block=b"\n".join(lines), fmt="JSONEachRow")
