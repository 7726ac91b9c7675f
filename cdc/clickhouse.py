"""The ClickHouse client of the engine, and the few statements about raw databases that several parts need."""

from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError

from cdc.errors import TransientError
from cdc.settings import CdcSettings

_OF_CLUSTERS = {
    "distributed_foreground_insert": 1,  # an insert ends when every shard has its rows
    "distributed_product_mode": "global",  # a question within a question is answered once, not in every shard
    "insert_quorum": "auto",  # with replicated engines: by most replicas of the shard, not by one that may be lost
}


def engine_client(config: CdcSettings) -> Client:
    """A client of the engine's ClickHouse, as its own user. Raises as `connect`."""
    return connect(
        config.clickhouse_url,
        config.clickhouse_cdc_password,
        settings=_OF_CLUSTERS if config.clickhouse_cluster else None,
    )


def connect(url: str, password: str, user: str = "cdc", *, settings: dict[str, Any] | None = None) -> Client:
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
            settings=settings,
        )
    except OperationalError as error:
        raise TransientError(
            f"ClickHouse at {url} does not answer; is it up? `millrace status` ({first_line(error)})"
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of what an error says, at most 500 characters: of a connection that failed its innermost cause, as the driver's own
    text is the request's address with a hundred settings."""
    if isinstance(error, OperationalError):
        while (cause := error.__cause__ or error.__context__) is not None:
            error = cause
    return (str(error).splitlines() or [type(error).__name__])[0][:500]


def quote(identifier: str) -> str:
    """An identifier in ClickHouse's backquotes."""
    return "`" + identifier.replace("\\", "\\\\").replace("`", "\\`") + "`"
