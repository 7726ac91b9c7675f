"""`python -m services.orders`: wire the orders service and serve it on 127.0.0.1:$PORT."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta

from fastapi import FastAPI
from pydantic import Field

from services.kit.background import in_background
from services.kit.client import ServiceClient
from services.kit.mail import Mailer, SmtpUrl
from services.kit.pagination import Cursors
from services.kit.retention import KeptSettings, Sweep, keep_sweeping, of_every_service
from services.kit.settings import Dsn, Url
from services.kit.start import Check, opened, start
from services.kit.token_source import TokenSource
from services.orders.api import build
from services.orders.eventstore import EventStore
from services.orders.partners import Partners
from services.orders.saga import Sagas
from services.orders.sagas import MEASURED, keep_measuring
from services.orders.service import Orders, Patience
from services.orders.steps import Steps

# Payments asks its provider several times before it gives up; its answer is worth waiting for.
_PAYMENTS_TIMEOUT_S = 15.0


class OrdersSettings(KeptSettings):
    dsn: Dsn = Field(validation_alias="ORDERS_DSN", description="address of the orders database, as its owner")
    replica_dsn: Dsn | None = Field(
        default=None, validation_alias="ORDERS_REPLICA_DSN", description="address of its replica, for lists"
    )
    users_url: Url = Field(validation_alias="USERS_URL", description="address of the users service")
    products_url: Url = Field(validation_alias="PRODUCTS_URL", description="address of the products service")
    payments_url: Url = Field(validation_alias="PAYMENTS_URL", description="address of the payments service")
    smtp_url: SmtpUrl = Field(validation_alias="SMTP_URL", description="address of the mail server")
    executor: str = Field(
        default="orders-0",
        validation_alias="ORDERS_EXECUTOR",
        pattern=r"^[a-z0-9-]{1,60}$",
        description="name of this process among its like, the same after a restart: it takes up its own sagas",
    )
    saga_schema: str = Field(
        default="dbos",
        validation_alias="ORDERS_SAGA_SCHEMA",
        pattern=r"^[a-z][a-z0-9_]{0,40}$",
        description="schema of the orders database that holds the sagas",
    )
    patience_s: float = Field(
        default=20.0,
        validation_alias="ORDERS_PATIENCE_S",
        gt=0,
        description="seconds for which the steps before the capture are tried again",
    )
    answer_s: float = Field(
        default=30.0,
        validation_alias="ORDERS_ANSWER_S",
        gt=0,
        description="seconds after which a caller is told to look later",
    )
    sagas_kept_d: float = Field(
        default=14.0,
        validation_alias="ORDERS_SAGAS_KEPT_D",
        gt=0,
        description="days for which sagas that have ended can be looked at",
    )
    client_secret: str = Field(
        validation_alias="ORDERS_CLIENT_SECRET", description="what proves to the sessions service that this is orders"
    )


@asynccontextmanager
async def wiring(app: FastAPI, settings: OrdersSettings) -> AsyncIterator[Mapping[str, Check]]:
    auth = TokenSource(settings.sessions_url, "orders", settings.client_secret)
    async with (
        opened(app, "orders", settings, settings.dsn, settings.replica_dsn) as (database, checks),
        ServiceClient("users", settings.users_url, auth=auth) as users,
        ServiceClient("products", settings.products_url, auth=auth) as products,
        ServiceClient("payments", settings.payments_url, _PAYMENTS_TIMEOUT_S, auth=auth) as payments,
    ):
        partners = Partners(users, products, payments)
        steps = Steps(database.primary, EventStore(), partners, Mailer(settings.smtp_url))
        sagas = Sagas(steps, database.primary, settings.dsn, settings.saga_schema, settings.executor)
        patience = Patience(settings.patience_s, settings.answer_s)
        app.state.service = Orders(database.primary, database.replica, Cursors(settings.dsn), partners, sagas, patience)
        sagas.open()
        old_sagas = Sweep("sagas", lambda: sagas.sweep(timedelta(days=settings.sagas_kept_d)))
        try:
            async with (
                in_background(keep_measuring(lambda: sagas.find(only_open=True, limit=MEASURED))),
                in_background(keep_sweeping(*of_every_service(database.primary, settings), old_sagas)),
            ):
                yield {**checks, "sagas": sagas.answers}
        finally:
            await sagas.close()


if __name__ == "__main__":
    start("orders", OrdersSettings, build, wiring)
