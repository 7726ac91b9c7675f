"""`python -m services.search`: wire the search service and serve it on 127.0.0.1:$PORT."""

import logging
from asyncio import to_thread
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from pydantic import Field

from services.kit.door import door
from services.kit.settings import GuardedSettings, Url
from services.kit.start import Check, start
from services.search import repository
from services.search.api import build
from services.search.cursors import Cursors
from services.search.events import Events
from services.search.service import Search


class SearchSettings(GuardedSettings):
    """Where the product documents are, and where searches and clicks are told."""

    elasticsearch_url: Url = Field(validation_alias="ELASTICSEARCH_URL", description="address of Elasticsearch")
    kafka_bootstrap: str = Field(validation_alias="KAFKA_BOOTSTRAP", description="address of Kafka, host:port")
    index: str = Field(
        default="products",
        validation_alias="SEARCH_INDEX",
        description="alias of the product documents; a trial has its own",
    )


@asynccontextmanager
async def wiring(app: FastAPI, settings: SearchSettings) -> AsyncIterator[Mapping[str, Check]]:
    logging.getLogger("elastic_transport").setLevel(logging.WARNING)  # a line a request is written already
    told = Events(settings.kafka_bootstrap)
    try:
        async with (
            repository.connect(settings.elasticsearch_url) as client,
            door(app, settings.sessions_url, settings.redis_url) as keys,
        ):
            app.state.service = Search(client, settings.index, told, Cursors(settings.redis_url))
            yield {"elasticsearch": partial(repository.answers, client), **keys}
    finally:
        await to_thread(told.close)


if __name__ == "__main__":
    start("search", SearchSettings, build, wiring)
