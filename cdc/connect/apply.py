"""Carries a plan out. Safe to repeat: a step that was done is not in the next plan."""

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client
from psycopg import sql

from cdc import documents, source_database
from cdc import state as engine_state
from cdc.backfill.copy import Copied, Progress, backfill
from cdc.catalog import Shape
from cdc.clickhouse import quote
from cdc.connect.client import ConnectClient
from cdc.connect.plan import Plan
from cdc.connect.secrets import ensure_password
from cdc.errors import TransientError
from cdc.kafka import Kafka
from cdc.keeper.partitions import watch as watch_partitions
from cdc.settings import CdcSettings
from cdc.sinks.clickhouse import raw_table

_CONNECTOR_PATIENCE = 90.0
_POLL = 0.1


def apply_plan(
    plan: Plan,
    config: CdcSettings,
    state: psycopg.Connection[Any],
    kafka: Kafka,
    target: Client,
    say: Callable[[str], None],
    progress: Progress,
) -> list[Copied]:
    """Make everything as the plan says, then copy what is not copied yet; returns what was copied.

    Raises:
        CdcError: the step that failed says what to do; steps before it stay done, and `apply` goes on from there.
    """
    with engine_state.line_of(state, plan.file.source):
        known = _capture(plan, config, state, kafka, target, say)
    copied = []
    if plan.copy:
        copied = backfill(plan.file, list(plan.copy), plan.epoch, config.millrace_state_dsn, target, progress)
    if plan.load:
        documents.backfill(plan.file, known, plan.load, config, lambda index, roots: progress(index, roots, 0))
    return copied


def _capture(
    plan: Plan,
    config: CdcSettings,
    state: psycopg.Connection[Any],
    kafka: Kafka,
    target: Client,
    say: Callable[[str], None],
) -> engine_state.SourceState:
    """Everything up to a running connector."""
    for line in plan.lines():
        say(line)
    known = engine_state.remember_source(state, plan.file, plan.system_identifier, plan.timeline)
    target.command(f"CREATE DATABASE IF NOT EXISTS {quote(plan.file.raw_database)}")
    documents.prepare(plan.load, config)
    for shape in plan.new_raw_tables:
        target.command(raw_table.create_statement(shape))
    kafka.create_topics(plan.new_topics, config.cdc_topic_partitions, config.cdc_topic_retention_hours)
    with source_database.connect(plan.file) as source:
        _publish(plan, source)
        if plan.new_slot:
            source_database.create_slot(source, plan.file)
    for shape in plan.capture:
        engine_state.capture_table(state, shape, plan.file.targets)
    watch_partitions(plan.file, state)  # from before the copy: what changes after it was begun has to be mended
    for shape in plan.release:
        engine_state.release_table(state, shape)
    ensure_password(plan.file, config.connect_secrets_file)
    with closing(ConnectClient(config.connect_url)) as connect:
        if plan.connector is not None:
            connect.put(plan.file.source, plan.connector)
        _wait_until_running(connect, plan.file.source)
    return known


def _publish(plan: Plan, source: psycopg.Connection[Any]) -> None:
    publication = sql.Identifier(plan.file.publication)
    tables = [_published(plan, shape) for shape in plan.publish]
    if plan.new_publication:
        statement = sql.SQL("CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true)")
        source.execute(statement.format(publication, sql.SQL(", ").join(tables)))
    elif tables:
        source.execute(sql.SQL("ALTER PUBLICATION {} ADD TABLE {}").format(publication, sql.SQL(", ").join(tables)))
    for name in plan.unpublish:
        table = sql.Identifier(*name.split(".", 1))
        source.execute(sql.SQL("ALTER PUBLICATION {} DROP TABLE {}").format(publication, table))


def _published(plan: Plan, shape: Shape) -> sql.Composable:
    """The table, with the list of its columns where some are excluded: those never leave the source."""
    table = sql.SQL("ONLY {}").format(sql.Identifier(shape.schema, shape.table))
    if shape.qualified not in plan.file.columns or not plan.file.columns[shape.qualified].exclude:
        return table
    columns = sql.SQL(", ").join(sql.Identifier(column.name) for column in shape.columns)
    return sql.SQL("{} ({})").format(table, columns)


def _wait_until_running(connect: ConnectClient, name: str) -> None:
    deadline = time.monotonic() + _CONNECTOR_PATIENCE
    while not connect.running(name):
        if time.monotonic() > deadline:
            reasons = "; ".join(connect.failures(name)) or "no reason given"
            raise TransientError(
                f"connector {name} does not run ({reasons}); `millrace logs connect` has more, then apply again"
            )
        time.sleep(_POLL)  # Connect offers no notification
