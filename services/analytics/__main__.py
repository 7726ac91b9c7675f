"""`python -m services.analytics`: wire the analytics service and serve it on 127.0.0.1:$PORT."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI
from pydantic import Field

from services.analytics.api import build
from services.analytics.clickhouse import Warehouse
from services.analytics.recorder import Recorder
from services.analytics.service import Analytics
from services.kit.door import door
from services.kit.settings import GuardedSettings, Url
from services.kit.start import Check, start


class AnalyticsSettings(GuardedSettings):
    """Where events go and numbers come from."""

    kafka_bootstrap: str = Field(validation_alias="KAFKA_BOOTSTRAP", description="host:port of Kafka", min_length=1)
    clickhouse_url: Url = Field(validation_alias="CLICKHOUSE_URL", description="address of ClickHouse")
    clickhouse_password: str = Field(
        validation_alias="CLICKHOUSE_ANALYTICS_PASSWORD", description="password of ClickHouse's user `analytics`"
    )


@asynccontextmanager
async def wiring(app: FastAPI, settings: AnalyticsSettings) -> AsyncIterator[Mapping[str, Check]]:
    warehouse = Warehouse(settings.clickhouse_url, "analytics", settings.clickhouse_password)
    async with (
        Recorder(settings.kafka_bootstrap) as recorder,
        door(app, settings.sessions_url, settings.redis_url) as keys,
    ):
        app.state.recorder = recorder
        app.state.service = Analytics(warehouse)
        try:
            yield {"kafka": recorder.answers, "clickhouse": warehouse.answers, **keys}
        finally:
            warehouse.close()


if __name__ == "__main__":
    start("analytics", AnalyticsSettings, build, wiring)
