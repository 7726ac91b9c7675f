"""How fast the ClickHouse sink empties a topic, beside only reading it and beside ClickHouse's own Kafka engine.

The topic is filled while the sink is held still: changes of one table, read by Debezium once and then put in again as they
are. The clock runs from the begin of the first insert to the end of the last, so that the time in which a group finds together
does not count; the same for the engine.
"""

import time

import psycopg
from clickhouse_connect.driver.client import Client

from bench import orders, topics
from bench.report import Metric, at_least, at_most
from bench.sink_process import SinkProcess
from bench.source import throw_away_source
from cdc import clickhouse
from cdc.settings import settings

_CHANGES = 150_000
_PATIENCE = 300.0
_MEMORY_BAR_MB = 512
_QUEUE = """
CREATE TABLE raw_bench.queue (
    op LowCardinality(String), before Tuple(id Int64),
    after Tuple(id Int64, customer_id Int64, status String, total Decimal(12, 2), created_at String, updated_at String,
        note Nullable(String)),
    source Tuple(lsn UInt64, ts_ms Int64))
ENGINE = Kafka SETTINGS kafka_broker_list = '{bootstrap}', kafka_topic_list = '{topic}', kafka_group_name = '{group}',
    kafka_format = 'JSONEachRow', kafka_num_consumers = 1, kafka_max_block_size = 65536, kafka_poll_timeout_ms = 200,
    kafka_flush_interval_ms = 1000, kafka_handle_error_mode = 'stream', input_format_skip_unknown_fields = 1,
    input_format_null_as_default = 1
"""
_ENGINE_TARGET = """
CREATE TABLE raw_bench.engine (
    id Int64, customer_id Int64, status String, total Decimal(12, 2), created_at DateTime64(6, 'UTC'), updated_at DateTime64(6, 'UTC'),
    note Nullable(String), _version UInt64, _deleted UInt8, _ingested_at DateTime64(6, 'UTC'))
ENGINE = ReplacingMergeTree(_version, _deleted) ORDER BY id
"""
_VIEW = """
CREATE MATERIALIZED VIEW raw_bench.engine_view TO raw_bench.engine AS
SELECT if(op = 'd', before.id, after.id) AS id, after.customer_id AS customer_id, after.status AS status, after.total AS total,
       parseDateTime64BestEffortOrZero(after.created_at, 6, 'UTC') AS created_at,
       parseDateTime64BestEffortOrZero(after.updated_at, 6, 'UTC') AS updated_at, after.note AS note, source.lsn AS _version,
       op = 'd' AS _deleted, now64(6, 'UTC') AS _ingested_at
FROM raw_bench.queue WHERE length(_error) = 0
"""


def measure(events: int) -> list[Metric]:
    """Drain a topic of about ``events`` events by each way."""
    config, sink = settings(), SinkProcess()
    target = clickhouse.connect(config.clickhouse_url, config.clickhouse_cdc_password)
    with throw_away_source("bench", orders.TABLE) as source:
        source.apply()
        topic = f"{source.name}.public.orders"
        with sink.frozen():
            with psycopg.connect(source.dsn, autocommit=True) as connection:
                for statement in orders.rows(_CHANGES).split(";"):
                    connection.execute(statement.encode())
            topics.wait_for_size(topic, _CHANGES, _PATIENCE)
            messages, _ = topics.read_all(topic)
            topics.write_again(topic, messages, max(round(events / _CHANGES) - 1, 1))
            total = topics.size(topic)
            _, reading = topics.read_all(topic, keep=False)
            messages.clear()
        target.command("SYSTEM STOP MERGES raw_bench.orders")  # else equal rows of the first inserts are forgotten
        with sink.watched():
            topics.wait_until_read(topic, _PATIENCE)
        ours = total / (time.time() - _first_insert(target, "orders"))
        engine = _engine(target, config.kafka_bootstrap, topic, total)
    return [
        Metric("events", total, "events"),
        at_least("drain", ours, "events/s", reading, 0.6),
        at_least("drain, beside the Kafka engine", ours, "events/s", engine, 2.0),
        at_most("memory of the sink", sink.peak / 2**20, "MB", _MEMORY_BAR_MB),
    ]


def _first_insert(target: Client, table: str) -> float:
    """When the first insert began, in seconds since 1970."""
    return float(target.query(f"SELECT toFloat64(min(_ingested_at)) FROM raw_bench.{table}").result_rows[0][0])


def _engine(target: Client, bootstrap: str, topic: str, total: int) -> float:
    """The Kafka engine's rate on the same topic, into a table of the same engine."""
    group = f"bench-engine-{time.time():.0f}"
    target.command(_ENGINE_TARGET)
    target.command("SYSTEM STOP MERGES raw_bench.engine")
    target.command(_QUEUE.format(bootstrap=bootstrap, topic=topic, group=group))
    target.command(_VIEW)
    topics.wait_until_read(topic, _PATIENCE, group)
    rate = total / (time.time() - _first_insert(target, "engine"))
    for name in ("engine_view", "queue", "engine"):
        target.command(f"DROP TABLE raw_bench.{name}")
    return rate
