"""Carries a plan out. Safe to repeat: a step that was done is not in the next plan."""

import re
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
from clickhouse_connect.driver.client import Client

from cdc import documents, source_database
from cdc import state as engine_state
from cdc.backfill.copy import Copied, Progress, backfill
from cdc.catalog import Shape
from cdc.clickhouse import quote
from cdc.connect import histories, publication
from cdc.connect.client import ConnectClient
from cdc.connect.plan import Plan
from cdc.connect.purge import purge
from cdc.connect.secrets import ensure_mask_key, ensure_password
from cdc.errors import TransientError
from cdc.kafka import Kafka
from cdc.keeper.partitions import watch as watch_partitions
from cdc.settings import CdcSettings
from cdc.shapes import follow
from cdc.sinks.clickhouse import cluster, history, raw_table
from cdc.slots import create_slot, let_standbys_keep
from cdc.waiting import wait_until

LET_GO = "stands still since"
"""How the comment of a raw table begins whose table is gone; the time follows."""
_CONNECTOR_PATIENCE = 90.0
_NOT_COPIED = "its rows are to be copied"


def apply_plan(
    plan: Plan,
    config: CdcSettings,
    state: psycopg.Connection[Any],
    kafka: Kafka,
    target: Client,
    say: Callable[[str], None],
    progress: Progress,
    *,
    leave_copies: bool = False,
) -> list[Copied]:
    """Make everything as the plan says, then copy what is not copied yet; returns what was copied.

    ``leave_copies``: tables are left to the keeper to copy, beside what else it does.

    Raises:
        CdcError: the step that failed says what to do; steps before it stay done, and `apply` goes on from there.
    """
    with engine_state.line_of(state, plan.file.source):
        if engine_state.applied_file(state, plan.file.source) not in (plan.before, plan.file):
            raise TransientError(f"source {plan.file.source}: another file was applied meanwhile; apply again")
        known = _capture(plan, config, state, kafka, target, say, leave_copies=leave_copies)
        follow(plan.file.source, state, target)
        held = histories.turn(plan.file.source, (*plan.begin_history, *plan.end_history), state, target)
    histories.wait_for_writers(state, held)
    copied = []
    if leave_copies:
        for shape in set(plan.copy).difference(plan.capture):
            engine_state.ask_to_mend(state, shape, _NOT_COPIED)
    elif shapes := _to_copy(plan, state):
        copied = backfill(plan.file, shapes, plan.epoch, config.millrace_state_dsn, target, progress)
    if plan.load:
        documents.backfill(plan.file, known, plan.load, config, lambda index, roots: progress(index, roots, 0))
    return copied


def _to_copy(plan: Plan, state: psycopg.Connection[Any]) -> list[Shape]:
    """What is due to be copied, in the shapes that are recorded by now; the keeper copies what has another one."""
    due = {shape.qualified for shape in plan.copy}
    tables = engine_state.captured_tables(state, plan.file.source)
    return [table.shape for table in tables if table.shape.qualified in due and table.parked is None]


def _capture(
    plan: Plan,
    config: CdcSettings,
    state: psycopg.Connection[Any],
    kafka: Kafka,
    target: Client,
    say: Callable[[str], None],
    *,
    leave_copies: bool,
) -> engine_state.SourceState:
    """Everything up to a running connector."""
    for line in plan.lines():
        say(line)
    known = engine_state.remember_source(state, plan.file, plan.system_identifier, plan.timeline)
    cluster.make_database(target, plan.file.raw_database)
    documents.prepare(plan.load, config)
    ensure_password(plan.file, config.connect_secrets_file)
    if plan.file.hashes:
        ensure_mask_key(config.cdc_mask_key, config.connect_secrets_file)
    if plan.purge:
        purge(plan, config, state, kafka, target)
    _set_aside(plan, target)
    for shape in dict.fromkeys((*plan.new_raw_tables, *plan.capture)):
        cluster.define(target, raw_table.create_statement(shape), raw_table.qualified(shape))
    for shape in plan.capture:
        history.prepare(target, shape)
    kafka.create_topics(plan.new_topics, config.cdc_topic_partitions, config.cdc_topic_retention_hours)
    if plan.connector is not None and plan.connector_changes:
        # before tables are published: a connector that did not know a column's mask would send it in clear
        _put(plan, config)
    with source_database.connect(plan.file) as source:
        publication.take_over(plan, source)
        if plan.new_slot:
            create_slot(source, plan.file)
    if plan.failover_slot:
        _let_standbys_keep(plan, config)
    for shape in plan.capture:
        with state.transaction():  # a table that is captured and asked for by nobody would stay empty
            engine_state.capture_table(state, shape, plan.file.targets)
            if leave_copies and shape in plan.copy:
                engine_state.ask_to_mend(state, shape, _NOT_COPIED)
    watch_partitions(plan.file, state)  # from before the copy: what changes after it was begun has to be mended
    for shape in plan.release:
        engine_state.release_table(state, shape)
    _put(plan, config)
    return known


def _put(plan: Plan, config: CdcSettings) -> None:
    """Give the connector its configuration, where that is another; returns once it runs by it."""
    with closing(ConnectClient(config.connect_url)) as connect:
        if plan.connector is not None and connect.config(plan.file.source) != plan.connector:
            connect.put(plan.file.source, plan.connector)
        _wait_until_running(connect, plan.file.source)


def _let_standbys_keep(plan: Plan, config: CdcSettings) -> None:
    """The slot can be altered while nobody reads it only; `_put` lets the connector go on."""
    with closing(ConnectClient(config.connect_url)) as connect:
        if connect.config(plan.file.source) is not None:
            connect.stop(plan.file.source)
    let_standbys_keep(plan.file)


def _set_aside(plan: Plan, target: Client) -> None:
    """The copy of an earlier table of the same name, which was let go, keeps its rows under another name."""
    for shape in plan.capture:
        name = {"database": shape.raw_database, "name": shape.raw_table}
        rows = target.query(
            "SELECT comment FROM system.tables WHERE database = {database:String} AND name = {name:String}", name
        ).result_rows
        if rows and str(rows[0][0]).startswith(LET_GO):
            until = re.sub(r"\D", "", str(rows[0][0]).removeprefix(LET_GO)[:20])
            aside = f"{quote(shape.raw_database)}.{quote(f'{shape.raw_table}__until_{until}')}"
            former = raw_table.qualified(shape)
            cluster.define(target, f"RENAME TABLE IF EXISTS {former} TO {aside}", aside, gone=(former,))
            history.set_aside(target, shape, until)


def _wait_until_running(connect: ConnectClient, name: str) -> None:
    def reason() -> str:
        reasons = "; ".join(connect.failures(name)) or "no reason given"
        return f"connector {name} does not run ({reasons}); `millrace logs connect` has more, then apply again"

    def runs() -> bool:
        if connect.stopped(name):  # which Connect may tell only once it has taken the configuration
            connect.resume(name)
        return connect.running(name)

    wait_until(runs, _CONNECTOR_PATIENCE, reason)
