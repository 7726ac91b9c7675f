"""The ClickHouse client of the engine, and the few statements about raw databases that several parts need."""

from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError

from cdc.errors import TransientError


def connect(url: str, password: str, user: str = "cdc") -> Client:
    """A client that several threads may share (no session).

    Raises:
        TransientError: ClickHouse does not answer.
    """
    parts = urlsplit(url)
    try:
        return clickhouse_connect.get_client(
            host=parts.hostname or "127.0.0.1",
            port=parts.port or 8123,
            secure=parts.scheme == "https",
            username=user,
            password=password,
            autogenerate_session_id=False,
            connect_timeout=5,
        )
    except OperationalError as error:
        raise TransientError(
            f"ClickHouse at {url} does not answer; is it up? `millrace status` ({first_line(error)})"
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of an error's text, at most 500 characters."""
    return (str(error).splitlines() or [type(error).__name__])[0][:500]


def quote(identifier: str) -> str:
    """An identifier in ClickHouse's backquotes."""
    return "`" + identifier.replace("\\", "\\\\").replace("`", "\\`") + "`"
