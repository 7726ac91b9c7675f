"""The one table of ports: an offset from MILLRACE_PORT_BASE for each server socket of the stack."""

from typing import Final

OFFSETS: Final[dict[str, int]] = {
    "postgres": 0,
    "postgres-replica": 1,
    "redis": 2,
    "kafka": 3,
    "kafka-controller": 4,
    "connect": 5,
    "elasticsearch": 6,
    "elasticsearch-transport": 7,
    "clickhouse": 8,
    "clickhouse-native": 9,
    "users": 10,
    "products": 11,
    "orders": 12,
    "payments": 13,
    "payment-provider": 14,
    "search": 15,
    "dagster-webserver": 20,
    "dagster-code": 21,
    "supervisor": 30,
    "clickhouse-sink": 31,
    "document-sink": 32,
    "cdc-keeper": 33,
}
