"""The ClickHouse sink as a process: ``python -m cdc.sinks.clickhouse``."""

import gc
import time
from collections.abc import Callable
from typing import Any

from cdc import clickhouse, health, process
from cdc.settings import settings
from cdc.sinks import positions
from cdc.sinks.clickhouse.sink import ClickHouseSink

# Consumed messages are many small objects without cycles, freed with their batch: looking for cycles among them took half of the
# time of a sink under load.
_OBJECTS_BEFORE_A_COLLECTION = 500_000


def main(on_stop: Callable[[Callable[[], None]], None]) -> None:
    """Run one member of the group until SIGTERM."""
    config = settings()
    reader = positions.consumer(config.kafka_bootstrap, positions.CLICKHOUSE_GROUP)
    target = clickhouse.engine_client(config)
    port = process.health_port()
    sink = ClickHouseSink(reader, target, config.millrace_state_dsn, config.kafka_bootstrap, f"clickhouse-sink-{port}")
    on_stop(sink.stop)

    def report() -> tuple[bool, dict[str, Any]]:
        since = None if sink.last_flush_at is None else round(time.time() - sink.last_flush_at, 3)
        return sink.ready, {
            "rows": sink.rows,
            "flushes": sink.flushes,
            "seconds_since_flush": since,
            "waits_for": sink.waits_for,
        }

    health.serve(port, report)
    gc.freeze()
    gc.set_threshold(_OBJECTS_BEFORE_A_COLLECTION, 10, 10)
    try:
        sink.run()
    finally:
        reader.close()


if __name__ == "__main__":
    process.run("millrace.clickhouse-sink", main)
