"""`python -m services.payments`: wire the payments service and serve it on 127.0.0.1:$PORT."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI

from services.kit.background import in_background
from services.kit.client import ServiceClient
from services.kit.retention import keep_sweeping, of_every_service
from services.kit.start import Check, opened, start
from services.payments.api import build
from services.payments.http_provider import HttpProvider
from services.payments.reconcile import keep_reconciling
from services.payments.refunds import Refunds
from services.payments.service import PaymentService
from services.payments.settings import PaymentsSettings


@asynccontextmanager
async def wiring(app: FastAPI, settings: PaymentsSettings) -> AsyncIterator[Mapping[str, Check]]:
    async with (
        opened(app, "payments", settings, settings.dsn) as (database, checks),
        ServiceClient("the payment provider", settings.provider_url, settings.provider_timeout_s) as client,
    ):
        provider, primary = HttpProvider(client), database.primary
        app.state.service = PaymentService(primary, provider)
        app.state.refunds = Refunds(primary, app.state.service)
        async with (
            in_background(keep_reconciling(settings.dsn, primary, provider, settings.reconcile_every_s)),
            in_background(keep_sweeping(*of_every_service(primary, settings))),
        ):
            yield checks


if __name__ == "__main__":
    start("payments", PaymentsSettings, build, wiring)
