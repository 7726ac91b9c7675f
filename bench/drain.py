"""How fast the ClickHouse sink empties a topic, beside only reading it and beside ClickHouse's own Kafka engine.

The topic is filled while the sink is held still: changes of one table, read by Debezium once and then put in again as they
are. The clock runs from the begin of the first insert to the end of the last, so that the time in which a group finds together
does not count; the same for the engine. The engine is measured with the sink's own statement, and with one that does less.
"""

import time
from dataclasses import dataclass

import psycopg
from clickhouse_connect.driver.client import Client

from bench import orders, topics
from bench.report import Metric, at_least, at_most
from bench.sink_process import SinkProcess
from bench.source import throw_away_source
from bench.steps import step
from cdc import clickhouse
from cdc import state as engine_state
from cdc.catalog import Shape
from cdc.settings import settings
from cdc.sinks.clickhouse import raw_table

_CHANGES = 150_000
_PATIENCE = 300.0
_MEMORY_BAR_MB = 512
_QUEUE = """
CREATE TABLE raw_bench.queue ({structure})
ENGINE = Kafka SETTINGS kafka_broker_list = '{bootstrap}', kafka_topic_list = '{topic}', kafka_group_name = '{group}',
    kafka_format = 'JSONEachRow', kafka_num_consumers = 1, kafka_max_block_size = 65536, kafka_poll_timeout_ms = 200,
    kafka_flush_interval_ms = 1000, kafka_handle_error_mode = 'stream', input_format_skip_unknown_fields = {less},
    input_format_null_as_default = 1, date_time_input_format = 'best_effort'
"""
_LESS_STRUCTURE = """
    op LowCardinality(String), before Tuple(id Int64),
    after Tuple(id Int64, customer_id Int64, status String, total Decimal(12, 2), created_at String, updated_at String,
        note Nullable(String)),
    source Tuple(lsn UInt64, ts_ms Int64)"""
_LESS_TARGET = """
CREATE TABLE raw_bench.engine (
    id Int64, customer_id Int64, status String, total Decimal(12, 2), created_at DateTime64(6, 'UTC'), updated_at DateTime64(6, 'UTC'),
    note Nullable(String), _version UInt64, _deleted UInt8, _ingested_at DateTime64(6, 'UTC'))
ENGINE = ReplacingMergeTree(_version, _deleted) ORDER BY id
"""
_LESS_VALUES = """
    if(op = 'd', before.id, after.id) AS id, after.customer_id AS customer_id, after.status AS status, after.total AS total,
    parseDateTime64BestEffortOrZero(after.created_at, 6, 'UTC') AS created_at,
    parseDateTime64BestEffortOrZero(after.updated_at, 6, 'UTC') AS updated_at, after.note AS note, source.lsn AS _version,
    op = 'd' AS _deleted, now64(6, 'UTC') AS _ingested_at"""


@dataclass(frozen=True)
class Engine:
    """What the Kafka engine is to do: how it reads a message, the table it writes, and what each column gets."""

    structure: str
    target: str
    values: str
    less: bool


def _same_work(shape: Shape) -> Engine:
    """What the sink does with a message, in the engine's hands: the same statement, strict, into the same table."""
    values = raw_table.stream_values(shape, epoch=1, batch=0)
    return Engine(
        raw_table.stream_structure(shape),
        raw_table.create_statement(shape).replace(raw_table.qualified(shape), "raw_bench.engine"),
        ", ".join(f"{value} AS `{name}`" for name, value in values.items()),
        less=False,
    )


_LESS = Engine(_LESS_STRUCTURE, _LESS_TARGET, _LESS_VALUES, less=True)
"""As the engine is often set up: unknown fields are passed over, and the version is the record's position alone, which is not
the order of commits."""


def measure(events: int) -> list[Metric]:
    """Drain a topic of about ``events`` events by each way."""
    config, sink = settings(), SinkProcess()
    target = clickhouse.engine_client(config)
    with throw_away_source("bench", orders.TABLE) as source:
        step("fill the topic while the sink is held still")
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
            step(f"read {total:,} events and do nothing with them")
            _, plain = topics.read_all(topic, keep=False, plain=True)
            _, reading = topics.read_all(topic, keep=False)
            messages.clear()
        target.command("SYSTEM STOP MERGES raw_bench.orders")  # else equal rows of the first inserts are forgotten
        step("the sink drains the topic")
        used = -sink.cpu()
        with sink.watched():
            topics.wait_until_read(topic, _PATIENCE)
        used += sink.cpu()
        ours = total / (time.time() - _first_insert(target, "orders"))
        step("ClickHouse's Kafka engine drains it, twice")
        same, less = (
            _engine(target, config.kafka_bootstrap, topic, total, each) for each in (_same_work(_shape(topic)), _LESS)
        )
    return [
        Metric("events", total, "events"),
        at_least("drain, beside a consumer as librdkafka comes", ours, "events/s", plain, 0.6),
        Metric(
            "beside a consumer with the sink's settings",
            round(ours, 2),
            "events/s",
            round(reading, 2),
            round(ours / reading, 3),
        ),
        at_least("drain, beside the Kafka engine doing the same", ours, "events/s", same, 2.0),
        Metric("the Kafka engine doing less", round(less, 2), "events/s", round(ours, 2), round(less / ours, 3)),
        Metric("CPU of the sink", round(used / total * 1e6, 2), "s per million events"),
        at_most("memory of the sink", sink.peak / 2**20, "MB", _MEMORY_BAR_MB),
    ]


def _shape(topic: str) -> Shape:
    with engine_state.connect(settings().millrace_state_dsn) as state:
        return next(table.shape for table in engine_state.captured_tables(state) if table.shape.topic == topic)


def _first_insert(target: Client, table: str) -> float:
    """When the first insert began, in seconds since 1970."""
    return float(target.query(f"SELECT toFloat64(min(_ingested_at)) FROM raw_bench.{table}").result_rows[0][0])


def _engine(target: Client, bootstrap: str, topic: str, total: int, engine: Engine) -> float:
    """The Kafka engine's rate on the same topic, into a table of the same engine as ours."""
    group = f"bench-engine-{time.time():.0f}"
    target.command(engine.target)
    target.command("SYSTEM STOP MERGES raw_bench.engine")
    target.command(
        _QUEUE.format(structure=engine.structure, bootstrap=bootstrap, topic=topic, group=group, less=int(engine.less))
    )
    target.command(
        f"CREATE MATERIALIZED VIEW raw_bench.engine_view TO raw_bench.engine AS SELECT {engine.values} "
        "FROM raw_bench.queue WHERE length(_error) = 0"
    )
    topics.wait_until_read(topic, _PATIENCE, group)
    rate = total / (time.time() - _first_insert(target, "engine"))
    # keys, not rows: of equal rows within a block an insert keeps one
    query = "SELECT (SELECT uniqExact(id) FROM raw_bench.engine), (SELECT uniqExact(id) FROM raw_bench.orders)"
    written, there = target.query(query).result_rows[0]
    if written != there:
        raise RuntimeError(f"the Kafka engine wrote {written} of {there} rows: the comparison says nothing")
    for name in ("engine_view", "queue", "engine"):
        target.command(f"DROP TABLE raw_bench.{name}")
    return rate
