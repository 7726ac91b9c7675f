"""What the Java servers share: one runtime, small heaps, the serial collector, logs on standard output."""

from pathlib import Path

from stack import parts
from stack.settings import PARTS

COLLECTOR = "-XX:+UseSerialGC"
"""The collector with the smallest footprint; with heaps of half a gigabyte its pauses do not matter."""

LOG_SETTINGS = """
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss.SSS} %-5p %c{1.} %m%n
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
logger.configs.name = org.apache.kafka.common.config.AbstractConfig
logger.configs.level = WARN
logger.requests.name = org.apache.kafka.connect.runtime.rest.RestServer
logger.requests.level = WARN
logger.reflections.name = org.reflections
logger.reflections.level = ERROR
"""


CLASS_ARCHIVES = PARTS / "class-archives"
"""Where a JVM leaves its loaded classes at its first orderly end, to begin with them the next time: half the start."""


def java_command(main_class: str, arguments: tuple[str, ...], *, heap: str, log_settings: Path) -> tuple[str, ...]:
    """Command of a server whose jars lie in Kafka's folder; heap as in `384m`."""
    return (
        str(parts.java().path / "bin" / "java"),
        f"-Xmx{heap}",
        COLLECTOR,
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:+AutoCreateSharedArchive",
        f"-XX:SharedArchiveFile={CLASS_ARCHIVES / main_class}.jsa",
        "-Xlog:cds=off,cds+dynamic=off,aot=off",
        "-Djava.awt.headless=true",
        "-Duser.timezone=UTC",  # the connector's sessions take it over, and write times inside other values by it
        f"-Dlog4j2.configurationFile={log_settings}",
        "-cp",
        f"{parts.KAFKA.path}/*",
        main_class,
        *arguments,
    )
