"""Visits to the shop, as the loader writes them: of every order one that placed it, and one that left its cart behind; and
some who ask for what the shop does not have."""

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from clickhouse_connect.driver.client import Client

from tests.integration.dbt.shop import EPOCH, identifier

COLUMNS = (
    "event_id", "source", "type", "at", "received_at", "session", "user_id", "product_id", "order_id",
    "query", "query_id", "quantity", "position", "total", "rest",
)  # fmt: skip
EMPTY = {"user_id": None, "product_id": None, "order_id": None, "query": "", "query_id": "", "quantity": None,
         "position": None, "total": None, "rest": "{}"}  # fmt: skip


def visits(client: Client, table: str, orders: Iterable[int]) -> None:
    """Two visits per order. Each buyer searches first, every fifth in vain, every other one chooses the second hit."""
    rows: list[dict[str, Any]] = []
    for place, number in enumerate(orders):
        for buys in (True, False):
            session = f"visit-{number}-{'buys' if buys else 'leaves'}"
            product, query = identifier("product", number % 7), f"query-{number}"
            steps: list[tuple[str, str, dict[str, Any]]] = []
            if buys:
                hits = 0 if place % 5 == 0 else 12
                steps.append(("search", "search", {"query": f"tent {number}", "query_id": query, "total": hits}))
                if place % 2:
                    steps.append(("search", "click", {"query_id": query, "product_id": product, "position": 2}))
            steps.append(("clickstream", "page_view", {"rest": json.dumps({"path": "/"})}))
            steps.append(("clickstream", "product_view", {"product_id": product}))
            steps.append(("clickstream", "cart_add", {"product_id": product, "quantity": 1}))
            if buys:
                steps.append(("clickstream", "order_placed", {"order_id": identifier("order", number)}))
            for second, (source, kind, more) in enumerate(steps):
                at = EPOCH + timedelta(days=number % 90, seconds=second)
                row = {"event_id": identifier(session, second), "source": source, "type": kind, "at": at}
                rows.append(EMPTY | row | {"received_at": at, "session": session} | more)
    insert(client, table, rows)


def searches_in_vain(client: Client, table: str, words: str, times: int) -> None:
    """So many visits look for the same words, which nothing is found for, and do nothing else."""
    rows = []
    for number in range(times):
        session = f"in-vain-{words}-{number}"
        told = {"event_id": identifier(session, 0), "source": "search", "type": "search", "at": EPOCH}
        asked = {"session": session, "query": words, "query_id": session, "total": 0}
        rows.append(EMPTY | told | {"received_at": EPOCH} | asked)
    insert(client, table, rows)


def insert(client: Client, table: str, rows: list[dict[str, Any]]) -> None:
    """Write events with every column."""
    client.insert(table, [[row[column] for column in COLUMNS] for row in rows], column_names=COLUMNS)
