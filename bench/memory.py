"""How much memory the ClickHouse sink takes at most: for one huge transaction, and for a backlog written while it was away.

Neither is timed. The transaction is one INSERT; a consumer sees its rows only once it is committed, and then all at once. The
backlog is what Debezium read once, put into the topic again and again while the sink is held still.
"""

from collections.abc import Callable

import psycopg

from bench import orders, topics
from bench.report import Metric, at_most
from bench.sink_process import SinkProcess
from bench.source import ThrowAwaySource, throw_away_source
from bench.steps import step

_CHANGES = 150_000
_BAR_MB = 512
_SLOWEST = 5_000  # rows a second that even a busy machine brings through


def measure(rows: int, events: int) -> list[Metric]:
    """The sink's largest resident size for a transaction of ``rows`` rows, and for a backlog of about ``events`` events."""
    return [
        Metric("rows of the transaction", rows, "rows"),
        at_most(
            "memory, one transaction",
            _peak("bench_transaction", lambda source, sink: _transaction(source, sink, rows)),
            "MB",
            _BAR_MB,
        ),
        Metric("events of the backlog", events, "events"),
        at_most(
            "memory, a backlog",
            _peak("bench_backlog", lambda source, sink: _backlog(source, sink, events)),
            "MB",
            _BAR_MB,
        ),
    ]


def _peak(name: str, work: Callable[[ThrowAwaySource, SinkProcess], None]) -> float:
    """Largest resident size in MB while ``work`` brought its changes into the copy."""
    sink = SinkProcess()
    with throw_away_source(name, orders.TABLE) as source:
        source.apply()
        work(source, sink)
    return sink.peak / 2**20


def _transaction(source: ThrowAwaySource, sink: SinkProcess, rows: int) -> None:
    step(f"one transaction of {rows:,} rows, through to ClickHouse")
    topic = f"{source.name}.public.orders"
    with sink.watched():
        with psycopg.connect(source.dsn, autocommit=True) as connection:
            connection.execute(orders.insert(rows).encode())
        topics.wait_for_size(topic, rows, rows / _SLOWEST)
        topics.wait_until_read(topic, rows / _SLOWEST)


def _backlog(source: ThrowAwaySource, sink: SinkProcess, events: int) -> None:
    topic = f"{source.name}.public.orders"
    step(f"a backlog of about {events:,} events, while the sink is held still")
    with sink.frozen():
        with psycopg.connect(source.dsn, autocommit=True) as connection:
            connection.execute(orders.insert(_CHANGES).encode())
        topics.wait_for_size(topic, _CHANGES, _CHANGES / _SLOWEST)
        messages, _ = topics.read_all(topic)
        topics.write_again(topic, messages, max(round(events / _CHANGES) - 1, 1))
        messages.clear()
    step("the sink drains it")
    with sink.watched():
        topics.wait_until_read(topic, events / _SLOWEST)
