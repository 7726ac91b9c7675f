"""The document sink as a process: ``python -m cdc.documents``."""

from collections.abc import Callable
from typing import Any

from cdc import health, process
from cdc.documents import index
from cdc.documents.sink import DocumentSink
from cdc.settings import settings
from cdc.sinks import positions


def main(on_stop: Callable[[Callable[[], None]], None]) -> None:
    """Run one member of the group until SIGTERM."""
    config = settings()
    reader = positions.consumer(config.kafka_bootstrap, positions.DOCUMENTS_GROUP, fetch_megabytes=16)
    port = process.health_port()
    sink = DocumentSink(reader, index.connect(config.elasticsearch_url), config, f"document-sink-{port}")
    on_stop(sink.stop)

    def report() -> tuple[bool, dict[str, Any]]:
        return sink.ready, sink.facts()

    health.serve(port, report)
    try:
        sink.run()
    finally:
        reader.close()


if __name__ == "__main__":
    process.run("millrace.documents", main)
