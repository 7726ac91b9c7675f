"""`python -m services.analytics.loader`: load events until SIGTERM; health and metrics on 127.0.0.1:$PORT."""

import logging
import signal
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from fastapi import APIRouter, FastAPI
from pydantic import Field

from services.analytics.loader.consume import Loader
from services.kit.http import application
from services.kit.problem import Unavailable
from services.kit.settings import Settings, Url
from services.kit.start import Check, start

logger = logging.getLogger("services.analytics.loader")


class LoaderSettings(Settings):
    """Where events come from and go to."""

    kafka_bootstrap: str = Field(validation_alias="KAFKA_BOOTSTRAP", description="host:port of Kafka", min_length=1)
    clickhouse_url: Url = Field(validation_alias="CLICKHOUSE_URL", description="address of ClickHouse")
    clickhouse_password: str = Field(
        validation_alias="CLICKHOUSE_CLICKSTREAM_PASSWORD", description="password of ClickHouse's user `clickstream`"
    )


def run(loader: Loader) -> None:
    """Load until it is stopped; a fault ends the process, which is started anew."""
    try:
        loader.run()
    except Exception:
        logger.exception("a fault of the loader; the process ends and is started anew")
        signal.raise_signal(signal.SIGTERM)


@asynccontextmanager
async def wiring(_: FastAPI, settings: LoaderSettings) -> AsyncIterator[Mapping[str, Check]]:
    clickhouse = (settings.clickhouse_url, "clickstream", settings.clickhouse_password)
    loader = Loader(settings.kafka_bootstrap, clickhouse, f"clickstream-loader-{settings.port}")
    work = threading.Thread(target=run, args=[loader], name="loader")

    async def loads() -> None:
        if loader.waits_for is not None:
            raise Unavailable(loader.waits_for)

    work.start()
    try:
        yield {"loading": loads}
    finally:
        loader.stop()
        work.join()


if __name__ == "__main__":
    start("clickstream-loader", LoaderSettings, partial(application, "clickstream-loader", APIRouter()), wiring)
