"""`python -m services.products`: wire the products service and serve it on 127.0.0.1:$PORT."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import Field

from services.kit.db import connect
from services.kit.http import Check, serve
from services.kit.pagination import Cursors
from services.kit.settings import Dsn, Settings, load
from services.products.api import build
from services.products.service import Products


class ProductsSettings(Settings):
    dsn: Dsn = Field(validation_alias="PRODUCTS_DSN", description="address of the products database, as its owner")
    replica_dsn: Dsn | None = Field(
        default=None,
        validation_alias="PRODUCTS_REPLICA_DSN",
        description="address of its replica; lists are read there",
    )


def main() -> None:
    settings = load(ProductsSettings)

    @asynccontextmanager
    async def wiring(app: FastAPI) -> AsyncIterator[Mapping[str, Check]]:
        async with connect("products", settings.dsn, settings.replica_dsn) as database:
            app.state.service = Products(database.primary, database.replica, Cursors(settings.dsn))
            yield {"database": database.primary.answers}

    serve("products", build(wiring), settings.port)


if __name__ == "__main__":
    main()
