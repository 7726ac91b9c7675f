"""End to end: a backlog of changes written beforehand, from the log into ClickHouse, beside Debezium alone into Kafka.

The connector is stopped while the backlog is written: inserts, 100 to a commit. Then it goes on, once
with the sink held still (the ceiling) and once with it running; the clock runs from the first record in Kafka to the last record
in Kafka, or to the last commit of the sink. Both turns have the connector's own, safe settings (acks=all).
"""

import time
from contextlib import closing, nullcontext

import psycopg

from bench import orders, topics
from bench.report import Metric, at_least, at_most
from bench.sink_process import SinkProcess
from bench.source import ThrowAwaySource, throw_away_source
from bench.steps import step
from cdc.connect.client import ConnectClient
from cdc.settings import settings

_PATIENCE = 600.0
_PER_COMMIT = 100
_BAR = 0.8
_MEMORY_BAR_MB = 512


def measure(changes: int) -> list[Metric]:
    """Stream a backlog of ``changes`` changes twice."""
    sink = SinkProcess()
    step(f"{changes:,} changes by Debezium into Kafka, the sink held still")
    alone, _ = _turn(changes, sink, with_sink=False)
    step("as many through to ClickHouse")
    with sink.watched():
        together, written = _turn(changes, sink, with_sink=True)
    return [
        Metric("changes", changes, "changes"),
        at_least("stream", written, "changes/s", alone, _BAR),
        Metric("debezium beside the sink", round(together), "changes/s"),
        at_most("memory of the sink", sink.peak / 2**20, "MB", _MEMORY_BAR_MB),
    ]


def _turn(changes: int, sink: SinkProcess, *, with_sink: bool) -> tuple[float, float]:
    """Changes a second into Kafka, and into ClickHouse where the sink runs."""
    with throw_away_source("bench", orders.TABLE) as source, closing(ConnectClient(settings().connect_url)) as connect:
        source.apply()
        connect.stop(source.name)
        _write(source, changes)
        topic = f"{source.name}.public.orders"
        with nullcontext() if with_sink else sink.frozen():
            connect.resume(source.name)
            topics.wait_for_size(topic, changes, _PATIENCE)
            if with_sink:
                topics.wait_until_read(topic, _PATIENCE)
            ended = time.time()
        messages, _ = topics.read_all(topic)
        first, last = topics.span(messages)
        return changes / (last - first), changes / (ended - first)


def _write(source: ThrowAwaySource, changes: int) -> None:
    with psycopg.connect(source.dsn) as connection:
        for start in range(0, changes, _PER_COMMIT):
            connection.execute(
                """
                INSERT INTO orders SELECT n, n %% 97, 'new', n / 100.0, now(), now(), 'a note of some length'
                FROM generate_series(%s::int8, %s::int8) n
                """,
                [start, start + _PER_COMMIT - 1],
            )
            connection.commit()
