"""`python -m services.payments`: wire the payments service and serve it on 127.0.0.1:$PORT."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import Field

from services.kit.client import ServiceClient
from services.kit.db import Primary
from services.kit.http import Check, serve
from services.kit.settings import Dsn, Settings, Url, load
from services.payments.api import build
from services.payments.provider import Provider
from services.payments.service import PaymentService


class PaymentsSettings(Settings):
    dsn: Dsn = Field(validation_alias="PAYMENTS_DSN", description="address of the payments database, as its owner")
    provider_url: Url = Field(validation_alias="PAYMENT_PROVIDER_URL", description="address of the payment provider")
    provider_timeout_s: float = Field(
        default=2.0,
        gt=0,
        validation_alias="PAYMENT_PROVIDER_TIMEOUT_S",
        description="seconds after which an answer of the provider counts as lost and is asked for by reference",
    )


def main() -> None:
    settings = load(PaymentsSettings)

    @asynccontextmanager
    async def wiring(app: FastAPI) -> AsyncIterator[Mapping[str, Check]]:
        async with (
            Primary(settings.dsn, "payments") as primary,
            ServiceClient("the payment provider", settings.provider_url, settings.provider_timeout_s) as client,
        ):
            app.state.service = PaymentService(primary, Provider(client))
            yield {"database": primary.answers}

    serve("payments", build(wiring), settings.port)


if __name__ == "__main__":
    main()
