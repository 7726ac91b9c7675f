"""What an event costs the transaction that tells it: as a message in the log, and as a row that is inserted and deleted.

One connection, one small INSERT a transaction as the effect; the ceiling is the effect alone. Bytes of the log are told by its
position, other sessions' included: measure on a quiet stack.
"""

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bench.report import Metric, at_least
from bench.steps import step

_TABLES = """
CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);
CREATE TABLE outbox (id uuid PRIMARY KEY, aggregate text, key text, type text, data jsonb, created_at timestamptz DEFAULT now());
"""
_EFFECT = "INSERT INTO effects (note) VALUES ('something happened')"
_DATA = '{"number": 1, "total": "12.50", "lines": [{"sku": "A-1", "quantity": 2}, {"sku": "B-2", "quantity": 1}]}'
_ROW = "INSERT INTO outbox (id, aggregate, key, type, data) VALUES (%s, 'orders', %s, 'placed', %s)"
_BAR = 0.8


def measure(transactions: int) -> list[Metric]:
    """So many transactions of each kind, in lots that take turns."""
    lots = {"alone": 0.0, "message": 0.0, "row": 0.0}
    written = dict.fromkeys(lots, 0)
    with _database() as connection:
        step(f"{transactions:,} transactions of each kind, in lots that take turns")
        for _ in range(10):
            for kind in lots:
                before, began = _position(connection), time.perf_counter()
                for _ in range(transactions // 10):
                    with connection.transaction():
                        connection.execute(_EFFECT)
                        _tell(connection, kind)
                lots[kind] += time.perf_counter() - began
                written[kind] += _position(connection) - before
        [(dead,)] = connection.execute("SELECT pg_relation_size('outbox')").fetchall()
    done = transactions // 10 * 10
    rates = {kind: done / seconds for kind, seconds in lots.items()}
    extra = {kind: (written[kind] - written["alone"]) / done for kind in lots}
    return [
        at_least("with a message", rates["message"], "transactions/s", rates["alone"], _BAR),
        Metric("with a row", round(rates["row"], 2), "transactions/s"),
        Metric("log of a message", round(extra["message"]), "bytes"),
        Metric("log of a row", round(extra["row"]), "bytes"),
        Metric("left to vacuum by rows", dead, "bytes"),
    ]


def _tell(connection: "psycopg.Connection[tuple[int]]", kind: str) -> None:
    if kind == "message":
        connection.execute(
            "SELECT pg_logical_emit_message(true, 'bench', %s)", [f"{uuid.uuid4()} {uuid.uuid4()} {_DATA}"]
        )
    elif kind == "row":
        event = uuid.uuid4()
        connection.execute(_ROW, [event, str(uuid.uuid4()), _DATA])
        connection.execute("DELETE FROM outbox WHERE id = %s", [event])


def _position(connection: "psycopg.Connection[tuple[int]]") -> int:
    [(position,)] = connection.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::int8").fetchall()
    return int(position)


@contextmanager
def _database() -> Iterator["psycopg.Connection[tuple[int]]"]:
    """An empty database on the stack's server."""
    admin, name = os.environ["POSTGRES_ADMIN_DSN"], f"bench_outbox_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(admin, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            with psycopg.connect(make_conninfo(admin, dbname=name), autocommit=True) as connection:
                connection.execute(_TABLES.encode())
                yield connection
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
