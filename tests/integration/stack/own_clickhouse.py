"""A ClickHouse of a test's own, with the stack's configuration, users and databases and nothing in them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import httpx
from clickhouse_connect.driver.client import Client

from tests.own_clickhouse_server import PASSWORD, OwnClickHouseServer


@dataclass(frozen=True)
class OwnClickHouse:
    """The server's address, as the contract's variables say it; every user has the same password."""

    variables: dict[str, str]

    def ask(self, user: str, statement: str, **parameters: Any) -> str:
        """The answer over HTTP, or the name of the error."""
        answer = httpx.post(
            self.variables["CLICKHOUSE_URL"],
            content=statement,
            params=parameters,
            auth=(user, PASSWORD),
            timeout=30,
            trust_env=False,
        )
        if answer.is_success and "X-ClickHouse-Exception-Code" not in answer.headers:
            return answer.text.strip()
        return str(re.findall(r"\(([A-Z_]+)\)", answer.text)[-1])

    def client(self, user: str, **more: Any) -> Client:
        """A connection, to be closed by whoever asks for it."""
        address = urlsplit(self.variables["CLICKHOUSE_URL"])
        host, port = address.hostname or "", address.port or 0
        return clickhouse_connect.get_client(host=host, port=port, username=user, password=PASSWORD, **more)


@contextmanager
def own_clickhouse(home: Path, port_base: int) -> Iterator[OwnClickHouse]:
    """A fresh server; gone afterwards."""
    server = OwnClickHouseServer(home, port_base)
    try:
        server.start()
        server.make_databases()
        yield OwnClickHouse(server.variables)
    finally:
        server.stop()
