"""`python -m services.products`: wire the products service and serve it on 127.0.0.1:$PORT."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

from fastapi import FastAPI
from pydantic import Field

from services.kit import cache_shared
from services.kit.background import in_background
from services.kit.guard import Guard
from services.kit.pagination import Cursors
from services.kit.rate_limits import Limit
from services.kit.retention import KeptSettings, Sweep, keep_sweeping, of_every_service
from services.kit.settings import Dsn
from services.kit.start import Check, opened, start
from services.products import cached
from services.products.api import build
from services.products.endings import keep_expiring, sweep_tombstones
from services.products.inventory import Inventory
from services.products.service import Products

# Shop fronts ask for many; what the cache answers is not even counted.
PER_VISITOR = Limit("catalogue", 3000, 60)


class ProductsSettings(KeptSettings):
    dsn: Dsn = Field(validation_alias="PRODUCTS_DSN", description="address of the products database, as its owner")
    replica_dsn: Dsn | None = Field(
        default=None,
        validation_alias="PRODUCTS_REPLICA_DSN",
        description="address of its replica; lists are read there",
    )
    hold_s: float = Field(
        default=900,
        gt=0,
        le=86_400,
        validation_alias="RESERVATION_HOLD_S",
        description="seconds that stock is held for an order that is not committed",
    )
    sweep_s: float = Field(
        default=5,
        gt=0,
        le=3600,
        validation_alias="RESERVATION_SWEEP_S",
        description="seconds between two looks for holds whose time is over",
    )
    tombstones_kept_d: float = Field(
        default=30.0,
        gt=0,
        validation_alias="RESERVATION_TOMBSTONES_KEPT_D",
        description="days for which a late reserve of an order that was released is refused: no request is under way so long",
    )


@asynccontextmanager
async def wiring(app: FastAPI, settings: ProductsSettings) -> AsyncIterator[Mapping[str, Check]]:
    async with (
        opened(app, "products", settings, settings.dsn, settings.replica_dsn) as (database, checks),
        cache_shared.connect(settings.redis_url) as redis,
    ):
        app.state.guard = Guard(app.state.limiter, address=PER_VISITOR)
        cursors, hold = Cursors(settings.dsn), timedelta(seconds=settings.hold_s)
        app.state.service = Products(database.primary, database.replica, cursors)
        app.state.inventory = Inventory(database.primary, database.replica, cursors, hold)
        app.state.products = cached.products(redis, app.state.service)
        kept = timedelta(days=settings.tombstones_kept_d)
        tombstones = Sweep("tombstones", lambda: sweep_tombstones(database.primary, kept))
        async with (
            in_background(keep_expiring(database.primary, timedelta(seconds=settings.sweep_s))),
            in_background(keep_sweeping(*of_every_service(database.primary, settings), tombstones)),
            app.state.products.following(),
        ):
            yield checks


if __name__ == "__main__":
    start("products", ProductsSettings, build, wiring)
