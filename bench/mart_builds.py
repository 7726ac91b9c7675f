"""Builds of every mart into a database of their own, beside the shop's, from the shop's raw tables."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import clickhouse_connect
import orjson
import psycopg
from clickhouse_connect.driver.client import Client

from cdc.verify import verify_tables
from stack.settings import ROOT

LAYERS = ("", "_staging", "_intermediate")
_OVERLAP = 16  # batches below the last one that a build reads again (`batch_overlap` of dbt_project.yml)
_PATIENCE = 60.0


class MartBuilds:
    """The database, with ClickHouse's client as dbt's user.

    Args:
        client: see `connect`.
        variables: the stack's contract.
        database: the marts' name, which the other layers' begin with.
        target: folder in which dbt keeps what it has parsed.
    """

    def __init__(self, client: Client, variables: Mapping[str, str], database: str, target: str) -> None:
        self.client, self.database = client, database
        self._variables, self._target = variables, target

    def build(self) -> None:
        """Every mart, with its data tests.

        Raises:
            RuntimeError: dbt failed, with its last words.
        """
        command = [sys.executable, "-m", "dbt.cli.main", "build", "--exclude-resource-type", "unit_test", "--quiet"]
        command += ["--project-dir", "dbt", "--profiles-dir", "dbt", "--target-path", self._target]
        command += ["--log-path", self._target]
        own = {"MILLRACE_ANALYTICS_DATABASE": self.database, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
        environment = {**os.environ, **self._variables, **own}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"dbt build failed:\n{done.stdout[-3000:]}{done.stderr[-2000:]}")

    def incremental(self) -> list[str]:
        """The incremental models of the last build, as dbt calls them (`model.millrace.fct_orders`)."""
        nodes = orjson.loads(Path(self._target, "manifest.json").read_bytes())["nodes"]
        return [name for name, node in nodes.items() if node["config"].get("materialized") == "incremental"]

    def months_written(self) -> dict[int, object]:
        """When each month of orders was written last, by its number (202611)."""
        months = f"SELECT toYYYYMM(placed_at) AS month, max(_loaded_at) FROM {self.database}.fct_orders GROUP BY month"
        return {int(month): at for month, at in self.client.query(months).result_rows}

    def wait_until_readable(self) -> None:
        """Return when builds may read what was written to orders until now."""
        verify_tables(["orders"], ["orders"])
        last = self.one("SELECT max(_batch) FROM raw_orders.orders")
        limit = "SELECT argMax(readable_below, at) FROM raw_millrace.batch_watermark"
        until(lambda: self.one(limit) > last)

    def leave_the_overlap(self) -> None:
        """Write so many batches of something else that the build after this one reads no older batch again."""
        with psycopg.connect(self._variables["USERS_DSN"], autocommit=True) as users:
            for _ in range(_OVERLAP + 1):
                before = self._last_of_users()
                users.execute(
                    "UPDATE users SET updated_at = now() WHERE id = (SELECT id FROM users ORDER BY id LIMIT 1)"
                )
                until(partial(self._moved, before))

    def one(self, query: str) -> int:
        """The one number that a query gives."""
        return int(self.client.query(query).result_rows[0][0])

    def drop(self) -> None:
        """Leave nothing of the marts."""
        for layer in LAYERS:
            self.client.command(f"DROP DATABASE IF EXISTS {self.database}{layer}")

    def _last_of_users(self) -> int:
        return self.one("SELECT max(_batch) FROM raw_users.users")

    def _moved(self, before: int) -> bool:
        return self._last_of_users() > before


@contextmanager
def connect(variables: Mapping[str, str]) -> Iterator[Client]:
    """ClickHouse, as dbt's user."""
    address = urlsplit(variables["CLICKHOUSE_URL"])
    client = clickhouse_connect.get_client(
        host=address.hostname or "",
        port=address.port or 0,
        username="dbt",
        password=variables["CLICKHOUSE_DBT_PASSWORD"],
        autogenerate_session_id=False,
    )
    try:
        yield client
    finally:
        client.close()


def until(holds: Callable[[], bool]) -> None:
    """Return when it holds.

    Raises:
        RuntimeError: not within a minute.
    """
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"the copies did not follow within {_PATIENCE:.0f} s; `millrace cdc status`")
        time.sleep(0.05)  # polls what has no notification
