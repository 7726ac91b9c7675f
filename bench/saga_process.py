"""One orchestrator of the saga benchmark: `python -m bench.saga_process NAME ENGINE SCHEMA SAGAS USER PRODUCT`.

Prints `ready`, waits for a line, places the orders 16 at a time and prints when it began and ended as JSON. It imports
the orders service as its own main does; with the engine `none` the flow runs with nothing kept.
"""

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from services.kit.client import ServiceClient
from services.kit.db import Primary
from services.kit.ids import uuid7
from services.kit.mail import Mailer
from services.kit.token_source import TokenSource
from services.orders import flow
from services.orders.eventstore import EventStore
from services.orders.partners import Partners
from services.orders.saga import NotReady, Sagas
from services.orders.steps import Placement, Steps

_AT_ONCE = 16
_WARM_UP = 16
_PATIENCE_S = 600.0


async def _nothing_kept(_: str, step: Callable[[], Awaitable[Any]], /) -> Any:
    return await step()


async def run(name: str, engine: str, schema: str, sagas: int, user: UUID, product: UUID) -> None:
    auth = TokenSource(os.environ["SESSIONS_URL"], "orders", os.environ["ORDERS_CLIENT_SECRET"])
    async with (
        Primary(os.environ["ORDERS_DSN"], name) as primary,
        ServiceClient("users", os.environ["USERS_URL"], auth=auth) as users,
        ServiceClient("products", os.environ["PRODUCTS_URL"], 60.0, auth=auth) as products,
        ServiceClient("payments", os.environ["PAYMENTS_URL"], 60.0, auth=auth) as payments,
    ):
        steps = Steps(primary, EventStore(), Partners(users, products, payments), Mailer(os.environ["SMTP_URL"]))
        durable = Sagas(steps, primary, os.environ["ORDERS_DSN"], schema, name) if engine == "dbos" else None
        if durable is not None:
            durable.open()
            await _until_ready(durable)

        async def place() -> bool:
            given = Placement(uuid7(), user, {product: 1}, "card", "tok_ok", time.time() + _PATIENCE_S)
            if durable is not None:
                return await durable.place(given, _PATIENCE_S) is None
            return await flow.place(_nothing_kept, steps, given, lambda _: None) is None

        await _all(place, _WARM_UP)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began = time.time()
        confirmed = await _all(place, sagas)
        if durable is not None:
            await durable.drain(_PATIENCE_S)  # the last mails
        print(json.dumps({"began": began, "ended": time.time(), "confirmed": confirmed}), flush=True)
        if durable is not None:
            await durable.close()


async def _all(place: Callable[[], Awaitable[bool]], count: int) -> int:
    """Place so many orders, a few at a time; how many were confirmed."""
    left = iter(range(count))

    async def worker() -> int:
        return sum([await place() for _ in left])

    return sum(await asyncio.gather(*(worker() for _ in range(_AT_ONCE))))


async def _until_ready(sagas: Sagas) -> None:
    while True:
        try:
            return await sagas.answers()
        except NotReady:
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    name, engine, schema, sagas, user, product = sys.argv[1:]
    asyncio.run(run(name, engine, schema, int(sagas), UUID(user), UUID(product)))
