"""`python -m services.orders`: wire the orders service and serve it on 127.0.0.1:$PORT."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from pydantic import Field

from services.kit.client import ServiceClient
from services.kit.db import connect
from services.kit.http import Check, serve
from services.kit.pagination import Cursors
from services.kit.settings import Dsn, Settings, Url, load
from services.orders.api import build
from services.orders.partners import Partners
from services.orders.recovery import keep_recovering
from services.orders.service import Orders

# Payments asks its provider several times before it gives up; its answer is worth waiting for.
_PAYMENTS_TIMEOUT_S = 15.0


class OrdersSettings(Settings):
    dsn: Dsn = Field(validation_alias="ORDERS_DSN", description="address of the orders database, as its owner")
    replica_dsn: Dsn | None = Field(
        default=None, validation_alias="ORDERS_REPLICA_DSN", description="address of its replica, for lists"
    )
    users_url: Url = Field(validation_alias="USERS_URL", description="address of the users service")
    products_url: Url = Field(validation_alias="PRODUCTS_URL", description="address of the products service")
    payments_url: Url = Field(validation_alias="PAYMENTS_URL", description="address of the payments service")


def main() -> None:
    settings = load(OrdersSettings)

    @asynccontextmanager
    async def wiring(app: FastAPI) -> AsyncIterator[Mapping[str, Check]]:
        async with (
            connect("orders", settings.dsn, settings.replica_dsn) as database,
            ServiceClient("users", settings.users_url) as users,
            ServiceClient("products", settings.products_url) as products,
            ServiceClient("payments", settings.payments_url, _PAYMENTS_TIMEOUT_S) as payments,
        ):
            partners = Partners(users, products, payments)
            app.state.service = Orders(database.primary, database.replica, Cursors(settings.dsn), partners)
            recovery = asyncio.create_task(keep_recovering(database.primary, partners))
            try:
                yield {"database": database.primary.answers}
            finally:
                recovery.cancel()
                with suppress(asyncio.CancelledError):
                    await recovery

    serve("orders", build(wiring), settings.port)


if __name__ == "__main__":
    main()
