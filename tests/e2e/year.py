"""A year of the shop in the running stack, and marts of it in a database of the test's own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from bench.mart_builds import MartBuilds, connect
from stack.settings import ROOT
from stack.simulate.history import History
from tests.conftest import Stack


class Year:
    """The stack with the history in it. ``told`` is what `millrace simulate` said of it, ``marts`` are built by who wants them."""

    def __init__(self, stack: Stack, history: History, told: dict[str, Any], marts: MartBuilds) -> None:
        self.stack, self.history, self.told, self.marts = stack, history, told, marts

    def postgres(self, service: str, query: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a service's own database."""
        dsn = self.stack.env[f"{service.upper()}_DSN"]
        with psycopg.connect(dsn, options="-c timezone=UTC", autocommit=True) as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def warehouse(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of ClickHouse; `{db}` stands for the database of the marts."""
        return [tuple(row) for row in self.marts.client.query(query.replace("{db}", self.marts.database)).result_rows]


def command(stack: Stack, *arguments: str, **changed: str) -> "subprocess.CompletedProcess[str]":
    """Python with these arguments, as a person starts it."""
    environment = os.environ | stack.env | changed
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, env=environment, check=False
    )


@contextmanager
def simulated(stack: Stack, history: History, folder: Path, *, visits: bool = True) -> Iterator[Year]:
    """The history, written where it is not there yet. It stays; the marts go."""
    told, wanted = folder / "told.json", ["--orders", str(history.orders), "--days", str(history.days)]
    wanted += ["--seed", str(history.seed), "--until", str(history.until), *([] if visits else ["--no-visits"])]
    done = command(stack, "-m", "stack.commands.main", "simulate", *wanted, "--json", str(told))
    assert done.returncode == 0, done.stdout + done.stderr
    with connect(stack.env) as client:
        marts = MartBuilds(client, stack.env, f"test_{os.urandom(4).hex()}", str(folder / "target"))
        try:
            yield Year(stack, history, json.loads(told.read_text()), marts)
        finally:
            marts.drop()
