"""The steps of orders that the mart makes of the log are those that the orders service has in its own streams of events."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import psycopg
from clickhouse_connect.driver.client import Client

from bench.source import ThrowAwaySource
from lineage.compiled import project
from services.kit.db import Primary
from services.kit.ids import uuid7
from services.kit.migrate import complete
from services.orders import repository
from services.orders.eventstore import EventStore
from services.orders.order import BeginCapture, Cancel, Command, Confirm, Fail, Place, RequestCancellation, Reserve
from tests.integration.cdc.conftest import MakeSource
from tests.integration.cdc.test_faults import proof
from tests.unit.services.test_orders_order import PLACED, RESERVED

Steps = dict[UUID, list[tuple[str, datetime]]]

BEGUN: list[Command] = [Place(PLACED), Reserve(RESERVED)]
LIVES: list[list[Command]] = [
    [Place(PLACED)],
    [*BEGUN, Fail("declined")],
    [*BEGUN, BeginCapture(), Confirm()],
    [*BEGUN, BeginCapture(), Confirm(), RequestCancellation(), Cancel()],
]
MEANS = {
    "OrderPlaced": "PENDING",
    "OrderConfirmed": "CONFIRMED",
    "OrderFailed": "FAILED",
    "OrderCancelled": "CANCELLED",
}


async def live(dsn: str) -> None:
    """Lead orders through their lives, all of them step by step beside each other."""
    async with Primary(dsn, "test") as primary:

        async def one(life: list[Command]) -> None:
            order_id = uuid7()
            for command in life:
                await repository.execute(primary, EventStore(), order_id, command)

        await asyncio.gather(*(one(life) for life in LIVES * 3))


def in_events(source: ThrowAwaySource) -> Steps:
    """The steps by the service's own events."""
    found: Steps = {}
    with psycopg.connect(source.dsn) as connection:
        events = "SELECT stream_id, split_part(type, '.', 1), recorded_at FROM service.order_events ORDER BY stream_id, version"
        for order, event, at in connection.execute(events):
            if event in MEANS:
                found.setdefault(order, []).append((MEANS[event], at))
    return found


def in_mart(source: ThrowAwaySource, target: Client) -> Steps:
    """The steps by the mart's own SQL, over this source's log."""
    models = {model.name: model.sql for model in project().models}
    log = models["stg_orders__orders__history"].replace("`raw_orders`", f"`raw_{source.name}`")
    mart = models["fct_order_status_changes"].replace("`staging`.`stg_orders__orders__history`", f"({log})")
    found: Steps = {}
    query = f"SELECT order_id, status, changed_at FROM ({mart}) ORDER BY order_id, change_number"
    for order, status, at in target.query(query).result_rows:
        found.setdefault(order, []).append((status, at.replace(tzinfo=UTC)))
    return found


def test_the_steps_of_orders_are_those_of_their_events(make_source: MakeSource, target: Client) -> None:
    source = make_source("", rest="history: [public.orders]")
    complete(source.dsn, "orders")
    source.apply()
    asyncio.run(live(source.dsn))
    assert proof(source.name, "orders").equal
    events, mart = in_events(source), in_mart(source, target)
    assert len(events) == 3 * len(LIVES)
    assert {order: [status for status, _ in steps] for order, steps in mart.items()} == {
        order: [status for status, _ in steps] for order, steps in events.items()
    }
    for order, steps in events.items():
        for (_, recorded), (_, committed), later in zip(steps, mart[order], [*steps[1:], None], strict=True):
            assert recorded <= committed, "an event is recorded before its commit"
            assert later is None or committed <= later[1]
