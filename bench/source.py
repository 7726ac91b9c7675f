"""A throw-away source: a database of its own on the stack's PostgreSQL, captured like any other, removed afterwards.

The shop's tables are left alone, and the engine is shown to work on a database by its source file only.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from cdc import clickhouse, source_file
from cdc import state as engine_state
from cdc.backfill.copy import Copied
from cdc.connect.apply import apply_plan
from cdc.connect.plan import make_plan
from cdc.connect.remove import remove_source
from cdc.kafka import Kafka
from cdc.settings import CdcSettings, settings
from cdc.source_file import SourceFile


@dataclass(frozen=True)
class ThrowAwaySource:
    """A database (``dsn``, as superuser; ``admin`` to the server itself) and its source file; ``apply`` captures it, once or again,
    also after ``release``."""

    name: str
    dsn: str
    file: SourceFile
    path: Path
    admin: str

    def apply(self) -> list[Copied]:
        """Capture the tables as they are now; returns what was copied."""
        with _parts() as (config, state, kafka, target):
            plan = make_plan(self.file, config, state, kafka, target)
            return apply_plan(plan, config, state, kafka, target, lambda _: None, lambda *_: None)

    def capture(self) -> None:
        """Capture the tables as they are now, and leave their rows to the caller to copy."""
        with _parts() as (config, state, kafka, target):
            plan = replace(make_plan(self.file, config, state, kafka, target), copy=())
            apply_plan(plan, config, state, kafka, target, lambda _: None, lambda *_: None)

    def release(self) -> None:
        """Take the source out of everything; its database stays, and can be captured anew."""
        with _parts() as (config, state, kafka, target):
            remove_source(self.file, config, state, kafka, target)

    def remove(self) -> None:
        """Take the source out of everything, and drop its database."""
        self.release()
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(self.name)))


@contextmanager
def throw_away_source(
    name: str, tables: str, documents: str = "", rest: str = "", *, admin: str | None = None
) -> Iterator[ThrowAwaySource]:
    """Create the database with the given DDL, for the caller to apply; afterwards remove every trace.

    Args:
        name: of the source and of its database.
        tables: DDL of the source's tables.
        documents: YAML of the source file's ``documents:`` part, or nothing.
        rest: YAML of further parts of the source file.
        admin: DSN of the server's superuser; None for the stack's PostgreSQL. Of several hosts the one that takes writes is meant.
    """
    admin = admin or os.environ["POSTGRES_ADMIN_DSN"]
    parts = {key: str(value) for key, value in conninfo_to_dict(admin).items()}
    hosts = ",".join(map(":".join, zip(parts["host"].split(","), parts["port"].split(","), strict=True)))
    dsn = f"postgresql://{parts['user']}:{parts['password']}@{hosts}/{name}"
    if "," in hosts:
        dsn += "?target_session_attrs=read-write"
    targets = "[clickhouse, elasticsearch]" if documents else "[clickhouse]"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(tables.encode())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.yaml"
        path.write_text(f"source: {name}\ndsn: {dsn}\ntables: ['public.*']\ntargets: {targets}\n{documents}\n{rest}")
        source = ThrowAwaySource(name, dsn, source_file.load(path), path, admin)
        try:
            yield source
        finally:
            source.remove()


@contextmanager
def _parts() -> Iterator[tuple[CdcSettings, psycopg.Connection[Any], Kafka, Client]]:
    config = settings()
    kafka = Kafka(config.kafka_bootstrap)
    try:
        with engine_state.connect(config.millrace_state_dsn) as state:
            yield config, state, kafka, clickhouse.engine_client(config)
    finally:
        kafka.close()
