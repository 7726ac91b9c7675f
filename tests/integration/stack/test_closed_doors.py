"""Who may enter what: passwords everywhere they are promised, no rights across databases, loopback only."""

import os
import re
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.conftest import Stack


def ask(stack: Stack, user: str, password: str, query: str) -> str:
    """ClickHouse's answer over HTTP, or the name of its error."""
    token = b64encode(f"{user}:{password}".encode()).decode()
    request = urllib.request.Request(
        stack.env["CLICKHOUSE_URL"], data=query.encode(), headers={"Authorization": f"Basic {token}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode()).strip()
    except urllib.error.HTTPError as error:
        with error:
            return str(re.findall(r"\(([A-Z_]+)\)", error.read().decode())[-1])


@pytest.mark.parametrize(
    "user", ["default", "cdc", "dbt", "reader", "analyst", "dashboards", "analytics", "clickstream"]
)
def test_nobody_enters_clickhouse_without_a_password(stack: Stack, user: str) -> None:
    refused = ask(stack, user, "", "SELECT count() FROM system.tables")
    assert refused in {"AUTHENTICATION_FAILED", "TOO_BIG_AST", "REQUIRED_PASSWORD"}


def test_readers_read_everything_and_change_nothing(stack: Stack) -> None:
    password = stack.env["CLICKHOUSE_READER_PASSWORD"]
    assert ask(stack, "reader", password, "SELECT count() >= 0 FROM raw_users.users") == "1"
    assert ask(stack, "reader", password, "SELECT 1 SETTINGS max_threads = 1") == "1"
    assert ask(stack, "reader", password, "DROP DATABASE analytics") in {"READONLY", "ACCESS_DENIED"}
    assert ask(stack, "reader", password, "SELECT * FROM url('http://127.0.0.1:1', LineAsString)") == "ACCESS_DENIED"


def test_analysts_see_the_marts_alone(stack: Stack) -> None:
    password = stack.env["CLICKHOUSE_ANALYST_PASSWORD"]
    assert ask(stack, "analyst", password, "SHOW DATABASES") == "analytics"
    assert ask(stack, "analyst", password, "SELECT * FROM raw_users.users") == "ACCESS_DENIED"
    assert ask(stack, "analyst", password, "CREATE TABLE analytics.mine (a Int8) ENGINE = Memory") in {
        "READONLY",
        "ACCESS_DENIED",
    }
    more = "SELECT 1 SETTINGS max_execution_time = 9999"
    assert ask(stack, "analyst", password, more) == "SETTING_CONSTRAINT_VIOLATION"


def test_a_service_cannot_enter_anothers_database(stack: Stack) -> None:
    dsn = stack.env["USERS_DSN"].removesuffix("users") + "orders"
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(dsn).close()
    for database in ("postgres", "millrace", "dagster", "superset"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            psycopg.connect(stack.env["USERS_DSN"].removesuffix("users") + database).close()


def test_postgres_wants_the_right_password(stack: Stack) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(stack.env["USERS_DSN"], password="wrong").close()


def test_redis_wants_a_password(stack: Stack) -> None:
    import redis

    address = urllib.parse.urlsplit(stack.env["REDIS_URL"])
    client = redis.Redis(host=address.hostname or "", port=address.port or 0)
    with client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_connect_shows_no_password(stack: Stack) -> None:
    url = f"{stack.env['CONNECT_URL']}/connectors?expand=info"
    with urllib.request.urlopen(url, timeout=10) as answer:
        shown = answer.read().decode()
    assert "${file:" in shown
    secret = urllib.parse.urlsplit(stack.env["USERS_CDC_DSN"]).password
    assert secret is not None
    assert secret not in shown


def test_everything_listens_on_loopback_only(stack: Stack) -> None:
    pids = {process.pid for process in stack.report().processes if process.pid is not None}
    family = {child.pid for pid in pids for child in psutil.Process(pid).children(recursive=True)} | pids
    open_sockets = [
        connection
        for connection in psutil.net_connections("tcp")
        if connection.pid in family and connection.status == psutil.CONN_LISTEN
    ]
    assert len(open_sockets) >= len(pids) - 2
    outside = {connection.laddr for connection in open_sockets if tuple(connection.laddr)[:1] not in LOOPBACK}
    assert not outside


LOOPBACK = {("127.0.0.1",), ("::1",), ("::ffff:127.0.0.1",)}


def test_files_with_passwords_are_private(stack: Stack) -> None:
    secrets = [value for name, value in stack.env.items() if name.endswith("_PASSWORD")]
    secrets += [urllib.parse.urlsplit(value).password or "" for name, value in stack.env.items() if "DSN" in name]
    kept = 0
    for path in written(Path(stack.env["MILLRACE_HOME"])):
        with suppress(FileNotFoundError):  # the servers go on: they write and remove files meanwhile
            content = path.read_text(errors="replace")
            if any(secret in content for secret in secrets if secret):
                kept += 1
                assert path.stat().st_mode & 0o077 == 0, path
    assert kept > 0, "no file was found that has a password in it"


def written(home: Path) -> Iterator[Path]:
    """Files of settings in a stack's folder."""
    for folder, _, names in os.walk(home):
        for path in (Path(folder, name) for name in names):
            if path.suffix in {".json", ".conf", ".properties", ".yaml", ".yml", ".xml"}:
                yield path
