"""Invalidation as a process: ``python -m cdc.invalidation``."""

from collections.abc import Callable
from contextlib import closing
from typing import Any

from cdc import health, process
from cdc.errors import ConfigurationError
from cdc.invalidation.consumer import Invalidation
from cdc.invalidation.target import CacheTarget
from cdc.settings import settings
from cdc.sinks import positions


def main(on_stop: Callable[[Callable[[], None]], None]) -> None:
    """Run one member of the group until SIGTERM."""
    config = settings()
    if not config.redis_url:
        raise ConfigurationError("setting REDIS_URL (address of the Redis that holds the caches) is not set")
    reader = positions.consumer(config.kafka_bootstrap, positions.INVALIDATION_GROUP, fetch_megabytes=16)
    port = process.health_port()
    with closing(CacheTarget(config.redis_url)) as target, closing(reader):
        invalidation = Invalidation(reader, target, config, f"cache-invalidation-{port}")
        on_stop(invalidation.stop)

        def report() -> tuple[bool, dict[str, Any]]:
            return invalidation.ready, invalidation.facts()

        health.serve(port, report)
        invalidation.run()


if __name__ == "__main__":
    process.run("millrace.invalidation", main)
