"""`python -m services.search`: wire the search service and serve it on 127.0.0.1:$PORT."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from pydantic import Field

from services.kit.http import Check, serve
from services.kit.settings import Settings, Url, load
from services.search import repository
from services.search.api import build
from services.search.service import Search


class SearchSettings(Settings):
    """Where the product documents are."""

    elasticsearch_url: Url = Field(validation_alias="ELASTICSEARCH_URL", description="address of Elasticsearch")
    index: str = Field(
        default="products",
        validation_alias="SEARCH_INDEX",
        description="alias of the product documents; a trial has its own",
    )


def main() -> None:
    """Serve until SIGTERM."""
    settings = load(SearchSettings)
    logging.getLogger("elastic_transport").setLevel(logging.WARNING)  # a line a request is written already

    @asynccontextmanager
    async def wiring(app: FastAPI) -> AsyncIterator[Mapping[str, Check]]:
        async with repository.connect(settings.elasticsearch_url) as client:
            app.state.service = Search(client, settings.index)
            yield {"elasticsearch": partial(repository.answers, client)}

    serve("search", build(wiring), settings.port)


if __name__ == "__main__":
    main()
